import { afterEach, describe, expect, it, vi } from "vitest";
import type { PrefetchRequest } from "../protocol/kv-messages";
import type { GenerateEvent, GenerateRequest } from "../protocol/messages";
import { FAKE_INFO, FAKE_PLAN, FakeEngine } from "../testing/fake-engine-worker";
import { SAMPLE_KV_STATS } from "../testing/sample-kv-stats";
import { CairnError } from "../util/errors";
import { EngineService, type EngineServiceOptions } from "./engine-service";

const INIT = { model: { kind: "url", url: "https://models.test/tiny/" } } as const;
const REQUEST: GenerateRequest = {
  requestId: "r1",
  input: { kind: "text", text: "a" },
  maxTokens: 1,
  sampling: { temperature: null, topK: null, topP: null, minP: null, seed: null },
  stop: [],
  priority: 0,
  usePrefixCache: true,
  cacheSalt: null,
};

const PREFETCH: PrefetchRequest = {
  requestId: "p1",
  input: { kind: "tokens", tokenIds: [2, 7] },
  cacheSalt: "mine",
};

type Options = EngineServiceOptions<object>;

/** A service whose planner, unless the test gives one, knows its answer. */
function serviceOf(options: Pick<Options, "gpu" | "load"> & Partial<Options>): EngineService<object> {
  return new EngineService({ plan: async () => FAKE_PLAN, ...options });
}

const ports: MessagePort[] = [];
function channel(): MessageChannel {
  const made = new MessageChannel();
  ports.push(made.port1, made.port2);
  return made;
}
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

function receive(port: MessagePort): GenerateEvent[] {
  const events: GenerateEvent[] = [];
  port.onmessage = ({ data }) => events.push(data);
  return events;
}

describe("EngineService", () => {
  it("rejects init with no_webgpu where there is no GPU", async () => {
    const load = vi.fn();
    const service = serviceOf({ gpu: null, load });
    await expect(service.init(INIT, null, null, null)).rejects.toMatchObject({ code: "no_webgpu" });
    expect(load).not.toHaveBeenCalled();
  });

  it("loads with the GPU it was given and tells the engine's info", async () => {
    const gpu = { name: "gpu" };
    const load = vi.fn(async () => new FakeEngine());
    const service = serviceOf({ gpu, load });
    expect(await service.init(INIT, null, null, null)).toEqual(FAKE_INFO);
    expect(load).toHaveBeenCalledExactlyOnceWith(INIT, expect.objectContaining({ gpu }));
    await expect(service.init(INIT, null, null, null)).rejects.toMatchObject({ code: "internal" });
  });

  it("disposes of an engine that was ready only after the cancel message", async () => {
    const engine = new FakeEngine();
    const { port1, port2 } = channel();
    const load = async (_: unknown, { signal }: { signal: AbortSignal }) => {
      port1.postMessage(null);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return engine;
    };
    const service = serviceOf({ gpu: {}, load });
    await expect(service.init(INIT, null, port2, null)).rejects.toMatchObject({ code: "aborted" });
    expect(engine.numDisposals).toBe(1);
  });

  it("disposes while it loads: init rejects with disposed", async () => {
    const load = (_: unknown, { signal }: { signal: AbortSignal }) =>
      new Promise<FakeEngine>((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("any"))));
    const service = serviceOf({ gpu: {}, load });
    const rejection = expect(service.init(INIT, null, null, null)).rejects.toMatchObject({ code: "disposed" });
    await service.dispose();
    await rejection;
  });

  it("sends events over the request's port and takes aborts from it", async () => {
    const engine = new FakeEngine();
    const service = serviceOf({ gpu: {}, load: async () => engine });
    await service.init(INIT, null, null, null);
    const { port1, port2 } = channel();
    const events = receive(port1);
    await service.generate(REQUEST, port2);
    engine.send("r1", { kind: "started", promptTokenIds: [3] });
    port1.postMessage({ kind: "abort" });
    await vi.waitFor(() => expect(events).toHaveLength(2));
    expect(events).toMatchObject([
      { kind: "started", promptTokenIds: [3] },
      { kind: "error", error: { code: "aborted" } },
    ]);
    expect(engine.aborted).toEqual(["r1"]);
  });

  it("answers a request with an error event when there is no engine", async () => {
    const failing = serviceOf({
      gpu: {},
      load: () => Promise.reject(new CairnError("no_adapter", "none")),
    });
    await expect(failing.init(INIT, null, null, null)).rejects.toMatchObject({ code: "no_adapter" });
    const fresh = serviceOf({ gpu: {}, load: async () => new FakeEngine() });
    for (const [service, code] of [
      [failing, "no_adapter"],
      [fresh, "internal"],
    ] as const) {
      const { port1, port2 } = channel();
      const events = receive(port1);
      await service.generate(REQUEST, port2);
      await vi.waitFor(() => expect(events).toMatchObject([{ kind: "error", error: { code } }]));
    }
  });

  it("disposes of the engine, also twice and before init", async () => {
    const engine = new FakeEngine();
    const service = serviceOf({ gpu: {}, load: async () => engine });
    await service.init(INIT, null, null, null);
    await service.dispose();
    await service.dispose();
    expect(engine.numDisposals).toBe(2);
    await serviceOf({ gpu: {}, load: async () => engine }).dispose();
    expect(engine.numDisposals).toBe(2);
  });

  it("hands the calls about the KV cache to the engine, also those that came while it loads", async () => {
    const engine = new FakeEngine();
    let finishLoad: (loaded: FakeEngine) => void = () => {};
    const service = serviceOf({ gpu: {}, load: () => new Promise((resolve) => (finishLoad = resolve)) });
    const init = service.init(INIT, null, null, null);
    const stats = service.kvStats();
    finishLoad(engine);
    await init;
    expect(await stats).toEqual(SAMPLE_KV_STATS);
    await service.kvClear(["host"]);
    expect(engine.cleared).toEqual([["host"]]);
    await service.kvFlush();
    expect(engine.numFlushes).toBe(1);
    expect(await service.kvPrefetch(PREFETCH)).toEqual({ promptTokens: 40, tokens: { gpu: 16, host: 8, storage: 8 } });
    expect(engine.prefetches).toEqual([PREFETCH]);
    engine.prefetch = () => Promise.reject(new CairnError("context_length_exceeded", "too long"));
    await expect(service.kvPrefetch(PREFETCH)).rejects.toMatchObject({ code: "context_length_exceeded" });
  });

  describe("plan", () => {
    const load = vi.fn(async () => new FakeEngine());
    afterEach(() => expect(load).not.toHaveBeenCalled());
    /** Ends when it is told to, with an error of its own. */
    const untilAborted: Options["plan"] = (_, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("any"))));

    it("plans with the GPU and the parts it was given", async () => {
      const [gpu, plan, partSource] = [{ name: "gpu" }, vi.fn(async () => FAKE_PLAN), async () => "a part"];
      expect(await serviceOf({ gpu, load, plan }).plan(INIT, channel().port2, partSource)).toEqual(FAKE_PLAN);
      expect(plan).toHaveBeenCalledExactlyOnceWith(INIT, { gpu, signal: expect.any(AbortSignal), partSource });
    });

    it("rejects with no_webgpu, and with what the planning threw", async () => {
      const plan = async () => Promise.reject(new CairnError("tensor_missing", "none", { tensor: "a" }));
      const { port2 } = channel();
      await expect(serviceOf({ gpu: null, load }).plan(INIT, port2, null)).rejects.toMatchObject({ code: "no_webgpu" });
      await expect(serviceOf({ gpu: {}, load, plan }).plan(INIT, channel().port2, null)).rejects.toMatchObject({
        code: "tensor_missing",
        data: { tensor: "a" },
      });
    });

    it("ends when a message comes on the cancel port, and when the worker is disposed of", async () => {
      const { port1, port2 } = channel();
      const cancelled = serviceOf({ gpu: {}, load, plan: untilAborted }).plan(INIT, port2, null);
      port1.postMessage(null);
      await expect(cancelled).rejects.toMatchObject({ code: "aborted" });

      const service = serviceOf({ gpu: {}, load, plan: untilAborted });
      const rejection = expect(service.plan(INIT, channel().port2, null)).rejects.toMatchObject({ code: "disposed" });
      await service.dispose();
      await rejection;
    });

    it("has no answer that came only after the cancel message", async () => {
      const { port1, port2 } = channel();
      const plan: Options["plan"] = async (_, { signal }) => {
        port1.postMessage(null);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return FAKE_PLAN;
      };
      await expect(serviceOf({ gpu: {}, load, plan }).plan(INIT, port2, null)).rejects.toMatchObject({
        code: "aborted",
      });
    });
  });

  describe.each([
    ["kvStats", (service: EngineService<object>) => service.kvStats()],
    ["kvClear", (service: EngineService<object>) => service.kvClear(["gpu"])],
    ["kvPrefetch", (service: EngineService<object>) => service.kvPrefetch(PREFETCH)],
  ])("%s rejects", (_, call) => {
    it("before the engine is initialized", async () => {
      const service = serviceOf({ gpu: {}, load: async () => new FakeEngine() });
      await expect(call(service)).rejects.toMatchObject({
        code: "internal",
        message: expect.stringContaining("not initialized"),
      });
    });

    it("with what the load threw", async () => {
      const load = () => Promise.reject(new CairnError("no_adapter", "none"));
      const service = serviceOf({ gpu: {}, load });
      await expect(service.init(INIT, null, null, null)).rejects.toMatchObject({ code: "no_adapter" });
      await expect(call(service)).rejects.toMatchObject({ code: "no_adapter", message: "none" });
    });

    it("after dispose, and reaches the engine no more", async () => {
      const engine = new FakeEngine();
      const service = serviceOf({ gpu: {}, load: async () => engine });
      await service.init(INIT, null, null, null);
      await service.dispose();
      await expect(call(service)).rejects.toMatchObject({ code: "disposed" });
      expect([engine.cleared, engine.prefetches]).toEqual([[], []]);
    });
  });
});
