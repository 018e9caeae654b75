import { afterEach, describe, expect, it, vi } from "vitest";
import type { PrefetchResult } from "../protocol/kv-messages";
import { FakeEngine, FakeWorker } from "../testing/fake-engine-worker";
import { SAMPLE_KV_STATS } from "../testing/sample-kv-stats";
import { CairnError } from "../util/errors";
import { CairnEngine } from "./cairn-engine";
import { WorkerConnection } from "./worker-connection";

const workers: FakeWorker[] = [];

async function start() {
  const served = new FakeEngine();
  const worker = new FakeWorker(async () => served);
  workers.push(worker);
  const connection = new WorkerConnection(worker, null);
  const init = { model: { kind: "url", url: "https://models.test/tiny/" } } as const;
  return { served, worker, engine: new CairnEngine(connection, await connection.init(init, null, null)) };
}

afterEach(() => {
  for (const worker of workers.splice(0)) worker.terminate();
});

const refusal = (code: string, param: string) => ({ code, data: { param } });

describe("kv.stats", () => {
  it("gives what the engine tells", async () => {
    const { engine } = await start();
    expect(await engine.kv.stats()).toEqual(SAMPLE_KV_STATS);
  });
});

describe("kv.clear", () => {
  it.each([
    ["all tiers unless told", undefined, ["gpu", "host", "storage"]],
    ["all tiers for null", { tiers: null }, ["gpu", "host", "storage"]],
    ["the tiers that were named", { tiers: ["host"] as const }, ["host"]],
    ["the storage alone", { tiers: ["storage"] as const }, ["storage"]],
  ])("clears %s", async (_, options, tiers) => {
    const { engine, served } = await start();
    expect(await engine.kv.clear(options)).toBe(undefined);
    expect(served.cleared).toEqual([tiers]);
  });

  it.each([
    [{ tiers: ["gpu", "disk"] }, "invalid_request", "options.tiers[1]"],
    [{ tiers: [] }, "invalid_request", "options.tiers"],
    [{ tiers: "gpu" }, "invalid_request", "options.tiers"],
    [{ tier: ["gpu"] }, "unsupported_parameter", "options.tier"],
    [["gpu"], "invalid_request", "options"],
  ])("refuses %j before the worker hears of it", async (options, code, param) => {
    const { engine, served } = await start();
    await expect(engine.kv.clear(options as object)).rejects.toMatchObject(refusal(code, param));
    expect(served.cleared).toEqual([]);
  });
});

describe("kv.flush", () => {
  it("resolves when the engine says so", async () => {
    const { engine, served } = await start();
    let end = () => {};
    served.flush = () => new Promise((resolve) => (end = resolve));
    let isFlushed = false;
    const flushing = engine.kv.flush().then(() => (isFlushed = true));
    await vi.waitFor(() => expect(served.numFlushes).toBe(1));
    expect(isFlushed).toBe(false);
    end();
    await flushing;
  });

  it("runs by itself when the page is hidden, until the engine's end, and nobody hears of its failure", async () => {
    const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
    vi.stubGlobal("document", page);
    try {
      const { engine, served } = await start();
      const turn = async (visibilityState: string) => {
        page.visibilityState = visibilityState;
        page.dispatchEvent(new Event("visibilitychange"));
        await engine.kv.stats().catch(() => {});
      };
      served.flush = () => Promise.reject(new CairnError("internal", "cannot"));
      await turn("visible");
      expect(served.numFlushes).toBe(0);
      await turn("hidden");
      expect(served.numFlushes).toBe(1);
      await engine.dispose();
      await turn("hidden");
      expect(served.numFlushes).toBe(1);
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe("kv.prefetch", () => {
  it("takes prompts of every kind, and tells what was found where", async () => {
    const { engine, served } = await start();
    const found: PrefetchResult = { promptTokens: 40, tokens: { gpu: 16, host: 8, storage: 8 } };
    expect(await engine.kv.prefetch({ prompt: "Once", cache_salt: "mine" })).toEqual(found);
    expect(await engine.kv.prefetch({ prompt: [2, 7], messages: null })).toEqual(found);
    await engine.kv.prefetch({ messages: [{ role: "developer", content: [{ type: "text", text: "Be brief." }] }] });
    const requestId = expect.stringMatching(/^prefetch-[0-9a-f]{32}$/);
    expect(served.prefetches).toEqual([
      { requestId, input: { kind: "text", text: "Once" }, cacheSalt: "mine" },
      { requestId, input: { kind: "tokens", tokenIds: [2, 7] }, cacheSalt: null },
      { requestId, input: { kind: "chat", messages: [{ role: "system", content: "Be brief." }] }, cacheSalt: null },
    ]);
    expect(new Set(served.prefetches.map((request) => request.requestId)).size).toBe(3);
  });

  it.each([
    ["Once", "invalid_request", "body"],
    [[2, 7], "invalid_request", "body"],
    [{}, "invalid_request", "body"],
    [{ messages: [{ role: "user", content: "a" }], prompt: "a" }, "invalid_request", "body"],
    [{ prompt: [2, -1] }, "invalid_request", "prompt[1]"],
    [{ prompt: 7 }, "invalid_request", "prompt"],
    [{ messages: [] }, "invalid_request", "messages"],
    [{ messages: [{ role: "user", content: 5 }] }, "invalid_request", "messages[0].content"],
    [{ messages: [{ role: "function", content: "" }] }, "unsupported_parameter", "messages[0].role"],
    [{ prompt: "a", cache_salt: "" }, "invalid_request", "cache_salt"],
    [{ prompt: "a", max_tokens: 1 }, "unsupported_parameter", "max_tokens"],
  ])("refuses %j before the worker hears of it", async (body, code, param) => {
    const { engine, served } = await start();
    await expect(engine.kv.prefetch(body as never)).rejects.toMatchObject(refusal(code, param));
    expect(served.prefetches).toEqual([]);
  });

  it("keeps the code and data of what the engine threw", async () => {
    const { engine, served } = await start();
    const data = { numPromptTokens: 99, maxModelLen: 64 };
    served.prefetch = () => Promise.reject(new CairnError("context_length_exceeded", "too long", data));
    const prefetch = engine.kv.prefetch({ prompt: "a" });
    await expect(prefetch).rejects.toBeInstanceOf(CairnError);
    await expect(prefetch).rejects.toMatchObject({ code: "context_length_exceeded", message: "too long", data });
  });
});

describe("the engine's end", () => {
  it.each([
    ["dispose", "disposed", (engine: CairnEngine, _: FakeWorker) => engine.dispose()],
    ["the worker's death", "worker_failed", async (_: CairnEngine, worker: FakeWorker) => worker.fail("out of memory")],
  ])("%s rejects a call that waits, and later ones", async (_, code, end) => {
    const { engine, served, worker } = await start();
    served.prefetch = () => new Promise(() => {});
    const waiting = expect(engine.kv.prefetch({ prompt: "a" })).rejects.toMatchObject({ code });
    await vi.waitFor(() => expect(served.prefetches).toHaveLength(1));
    await end(engine, worker);
    await waiting;
    await expect(engine.kv.stats()).rejects.toMatchObject({ code });
    await expect(engine.kv.clear()).rejects.toMatchObject({ code });
    await expect(engine.kv.flush()).rejects.toMatchObject({ code });
    expect(served.cleared).toEqual([]);
  });
});
