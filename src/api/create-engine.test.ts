import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { EngineInit, LoadProgress } from "../protocol/messages";
import { FAKE_INFO, FakeEngine, type FakeLoad, FakeWorker } from "../testing/fake-engine-worker";
import { CairnError } from "../util/errors";
import { createEngine } from "./create-engine";

const workers: FakeWorker[] = [];
let load: FakeLoad;
/** What another script than the engine's exposes; undefined for the engine's. */
let otherApi: object | undefined;

beforeEach(() => {
  load = async () => new FakeEngine();
  otherApi = undefined;
  vi.stubGlobal(
    "Worker",
    class extends FakeWorker {
      constructor(readonly url: string | URL) {
        super((init, context) => load(init, context), otherApi);
        workers.push(this);
      }
    },
  );
});

afterEach(() => {
  vi.unstubAllGlobals();
  for (const worker of workers.splice(0)) worker.terminate();
});

const create = (options: object = {}) =>
  createEngine({ model: "https://models.test/tiny/", workerUrl: "/worker.js", ...options });

describe("createEngine", () => {
  it("passes the options on as plain data and gives the engine's info", async () => {
    let seen: EngineInit | null = null;
    load = async (init) => {
      seen = init;
      return new FakeEngine();
    };
    const adapter = { forceFallback: true, powerPreference: "low-power" };
    const settings = { maxNumRunning: 2, offloadPolicy: "storeOnEvict", hostCacheBytes: null, useHostCache: true };
    const options = {
      maxModelLen: 32,
      kvDtype: "f32",
      quantization: "q4_0",
      kvCacheBytes: 4096,
      adapter,
      engine: settings,
    };
    const engine = await create(options);
    expect(seen).toEqual({ model: { kind: "url", url: "https://models.test/tiny/" }, ...options });
    expect(engine.info).toEqual(FAKE_INFO);
    expect(await engine.models.list()).toEqual({
      object: "list",
      data: [{ id: "tiny", object: "model", created: expect.any(Number), owned_by: "local" }],
    });
    await engine.dispose();
  });

  it("resolves a relative model URL against the document", async () => {
    vi.stubGlobal("document", Object.assign(new EventTarget(), { baseURI: "https://app.test/chat/index.html" }));
    let url: unknown = null;
    load = async (init) => {
      url = init.model;
      return new FakeEngine();
    };
    await create({ model: "models/tiny/" });
    expect(url).toEqual({ kind: "url", url: "https://app.test/chat/models/tiny/" });
  });

  it("starts the worker that the package carries as a blob, and revokes the blob once the worker spoke", async () => {
    const revoke = vi.spyOn(URL, "revokeObjectURL");
    vi.doMock("virtual:cairn-worker-source", () => ({ default: "/* the worker */" }));
    await create({ workerUrl: undefined });
    const { url } = workers[0] as FakeWorker & { url: string };
    expect(url).toMatch(/^blob:/);
    expect(revoke.mock.calls).toEqual([[url]]);
    vi.doUnmock("virtual:cairn-worker-source");
    revoke.mockRestore();
  });

  it("reports progress in order", async () => {
    const sent: LoadProgress[] = [
      { phase: "weights", file: "a", loaded: 1, total: 2 },
      { phase: "ready", loaded: 2, total: 2 },
    ];
    load = async (_, { onProgress }) => {
      for (const progress of sent) onProgress(progress);
      return new FakeEngine();
    };
    const received: LoadProgress[] = [];
    await create({ onProgress: (progress: LoadProgress) => received.push(progress) });
    await vi.waitFor(() => expect(received).toEqual(sent));
  });

  it("keeps the code and data of what the load threw, and ends the worker", async () => {
    load = async () => {
      throw new CairnError("tensor_missing", "no such tensor", { tensor: "a.weight" });
    };
    await expect(create()).rejects.toMatchObject({ code: "tensor_missing", data: { tensor: "a.weight" } });
    await vi.waitFor(() => expect(workers[0].isTerminated).toBe(true));
  });

  it("rejects with worker_failed when the worker dies while it loads", async () => {
    load = () => {
      queueMicrotask(() => workers[0].fail("SyntaxError"));
      return new Promise(() => {});
    };
    await expect(create()).rejects.toMatchObject({
      code: "worker_failed",
      data: { reason: "SyntaxError", url: "/worker.js" },
    });
    await vi.waitFor(() => expect(workers[0].isTerminated).toBe(true));
  });

  it("rejects with worker_failed, by its URL, when there is no worker script at workerUrl", async () => {
    load = () => new Promise(() => {});
    const creating = create();
    // A script that is not found is an error event without a message.
    await vi.waitFor(() => expect(workers).toHaveLength(1));
    workers[0].dispatchEvent(new Event("error"));
    await expect(creating).rejects.toMatchObject({
      code: "worker_failed",
      message: "The engine's worker (/worker.js) failed: it could not be loaded.",
      data: { reason: "it could not be loaded", url: "/worker.js" },
    });
    expect(workers[0].isTerminated).toBe(true);
  });

  it("rejects with worker_failed when the worker's script is another one", async () => {
    otherApi = { identify: async () => "another worker" };
    await expect(create()).rejects.toMatchObject({
      code: "worker_failed",
      data: { reason: "its script is not that of Cairn's worker", url: "/worker.js" },
    });
    expect(workers[0].isTerminated).toBe(true);
  });

  it("waits no longer than 10 s for a script that never answers", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      otherApi = { identify: () => new Promise(() => {}) };
      const creating = create();
      const rejection = expect(creating).rejects.toMatchObject({
        code: "worker_failed",
        data: { reason: "its script did not answer within 10 s", url: "/worker.js" },
      });
      await vi.advanceTimersByTimeAsync(10_000);
      await rejection;
      expect(workers[0].isTerminated).toBe(true);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  describe("a worker that comes to answer no more", () => {
    /** Answers the first call only, as one that loops for ever in what `init` or a request made it do. */
    const hangingAfter = (numAnswers: number, api: object) => {
      let numPings = 0;
      const identify = async () => (numPings++ < numAnswers ? "cairn-engine" : new Promise(() => {}));
      return { ...api, identify };
    };
    const silent = { code: "worker_failed", data: { reason: "it did not answer for 30 s", url: "/worker.js" } };
    const never = () => new Promise(() => {});

    beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] }));
    afterEach(() => void vi.useRealTimers());

    it("is ended while it loads", async () => {
      const loading = new Promise<void>((resolve) => {
        const init = () => {
          resolve();
          return never();
        };
        otherApi = hangingAfter(2, { init });
      });
      const rejection = expect(create()).rejects.toMatchObject(silent);
      await loading;
      await vi.advanceTimersByTimeAsync(60_000);
      await rejection;
      expect([workers[0].isTerminated, vi.getTimerCount()]).toEqual([true, 0]);
    });

    it("is ended, and all that waits fails with the reason", async () => {
      otherApi = hangingAfter(2, { init: async () => FAKE_INFO, generate: never, kvStats: never });
      const engine = await create();
      expect(vi.getTimerCount()).toBe(0);
      const waiting = [engine.completions.create({ prompt: "a" }), engine.kv.stats()];
      const rejections = waiting.map((promise) => expect(promise).rejects.toMatchObject(silent));
      await vi.advanceTimersByTimeAsync(29_000);
      expect(workers[0].isTerminated).toBe(false);
      await vi.advanceTimersByTimeAsync(31_000);
      await Promise.all(rejections);
      await expect(engine.kv.stats()).rejects.toMatchObject(silent);
      await engine.dispose();
      expect([workers[0].isTerminated, vi.getTimerCount()]).toEqual([true, 0]);
    });

    it("is left alone while it answers, however long the load takes", async () => {
      let finish: (engine: FakeEngine) => void = () => {};
      const loading = new Promise<void>((isLoading) => {
        load = () => {
          isLoading();
          return new Promise((resolve) => {
            finish = resolve;
          });
        };
      });
      const creating = create();
      await loading;
      for (let seconds = 0; seconds < 300; seconds += 10) {
        await vi.advanceTimersByTimeAsync(10_000);
        // Messages between the threads take real time.
        await new Promise((resolve) => setImmediate(resolve));
      }
      finish(new FakeEngine());
      await (await creating).dispose();
    });
  });

  it("rejects with worker_failed when the browser refuses the worker at once", async () => {
    class Refused {
      constructor() {
        throw new Error("blocked by CSP");
      }
    }
    vi.stubGlobal("Worker", Refused);
    await expect(create()).rejects.toMatchObject({
      code: "worker_failed",
      data: { url: "/worker.js", reason: "blocked by CSP" },
    });
  });

  it("starts no worker for a signal that is aborted already", async () => {
    const reason = new Error("changed my mind");
    await expect(create({ signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: "aborted",
      name: "AbortError",
      cause: reason,
    });
    expect(workers).toEqual([]);
  });

  it("aborts a load under way, tells the worker and then ends it", async () => {
    const controller = new AbortController();
    let signalInWorker: AbortSignal | null = null;
    load = (_, { signal }) => {
      signalInWorker = signal;
      queueMicrotask(() => controller.abort("enough"));
      return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    };
    await expect(create({ signal: controller.signal })).rejects.toMatchObject({ code: "aborted", cause: "enough" });
    await vi.waitFor(() => expect(workers[0].isTerminated).toBe(true));
    expect(signalInWorker!.aborted).toBe(true);
  });

  it("does not care about an abort after it resolved", async () => {
    const controller = new AbortController();
    const engine = await create({ signal: controller.signal });
    controller.abort();
    expect(workers[0].isTerminated).toBe(false);
    await engine.dispose();
  });
});

describe("createEngine's options", () => {
  it.each([
    [{ model: undefined }, "model"],
    [{ model: "https://models.test/tiny" }, "model"],
    [{ model: "https://user:secret@models.test/tiny/" }, "model"],
    [{ model: "owner/../name" }, "model"],
    [{ model: "../name" }, "model"],
    [{ model: "owner/name", hub: "main" }, "hub"],
    [{ model: "owner/name", hub: { endpoint: "hub.test" } }, "hub.endpoint"],
    [{ model: "owner/name", hub: { endpoint: "https://a:b@hub.test" } }, "hub.endpoint"],
    [{ model: "owner/name", hub: { revision: "../main" } }, "hub.revision"],
    [{ model: "owner/name", hub: { token: "hf_a\nb" } }, "hub.token"],
    [{ hub: {} }, "hub"],
    [{ cache: "no" }, "cache"],
    [{ model: [new File([], "config.json")], cache: true }, "cache"],
    [{ model: "" }, "model"],
    [{ model: "tiny/" }, "model"],
    [{ model: "https://models.test/?dir=/" }, "model"],
    [{ model: [] }, "model"],
    [{ model: ["config.json"] }, "model"],
    [{ maxModelLen: 0 }, "maxModelLen"],
    [{ kvDtype: "f64" }, "kvDtype"],
    [{ quantization: "q4_k" }, "quantization"],
    [{ kvCacheBytes: "1GB" }, "kvCacheBytes"],
    [{ adapter: "fast" }, "adapter"],
    [{ adapter: { powerPreference: "max" } }, "adapter.powerPreference"],
    [{ engine: { maxNumRunning: () => 1 } }, "engine.maxNumRunning"],
    [{ workerUrl: 7 }, "workerUrl"],
    [{ onProgress: true }, "onProgress"],
    [{ signal: {} }, "signal"],
  ])("refuses %j, naming %s", async (options, param) => {
    await expect(create(options)).rejects.toMatchObject({ code: "invalid_request", data: { param } });
    expect(workers).toEqual([]);
  });

  it.each([
    [{ modelUrl: "x" }, "modelUrl"],
    [{ adapter: { vendor: "x" } }, "adapter.vendor"],
    [{ model: "owner/name", hub: { branch: "main" } }, "hub.branch"],
  ])("refuses the unknown name in %j", async (options, param) => {
    await expect(create(options)).rejects.toMatchObject({ code: "unsupported_parameter", data: { param } });
  });

  it.each([
    [{}, { endpoint: "https://huggingface.co", revision: "main", token: null }],
    [
      { hub: { endpoint: "https://hub.test/mirror/", revision: "refs/pr/1", token: "hf_x" }, cache: false },
      { endpoint: "https://hub.test/mirror", revision: "refs/pr/1", token: "hf_x", cache: false },
    ],
  ])("takes a hub's id with %j", async (options, expected) => {
    let source: unknown;
    load = async ({ model }) => {
      source = model;
      return new FakeEngine();
    };
    await create({ model: "owner/na.me-1", ...options });
    expect(source).toEqual({ kind: "hub", repo: "owner/na.me-1", ...expected });
  });

  it.each([
    [{}, 1],
    [{ cache: false }, 0],
    [{ model: [new File(["{}"], "config.json")] }, 0],
  ])("asks the browser to keep the files of %j", async (options, numAsked) => {
    const persist = vi.fn(async () => true);
    vi.stubGlobal("navigator", { storage: { persist } });
    await create(options);
    expect(persist).toHaveBeenCalledTimes(numAsked);
  });

  it("takes files, and null for absent", async () => {
    const files = [new File(["{}"], "config.json")];
    let numFiles = 0;
    load = async ({ model }) => {
      if (model.kind === "files") numFiles = model.files.length;
      return new FakeEngine();
    };
    await create({ model: files, maxModelLen: null, adapter: null, engine: null, onProgress: null, signal: null });
    expect(numFiles).toBe(1);
  });
});
