import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { HostMemory } from "../offload/host-memory";
import type { TransferResult } from "../offload/transfer-job";
import type { GenerateEvent } from "../protocol/messages";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { EOS, id, makeParts, makeRequest, makeScheduler, summarize } from "../testing/engine-parts";
import { ScriptedRunner } from "../testing/scripted-runner";
import { Engine } from "./engine";
import { DEFAULT_ENGINE_CONFIG } from "./engine-config";
import { makeOffload } from "./make-offload";
import type { ModelRunner } from "./model-runner";

/** Chunks of one block of 16 tokens, of which the prompt has one. */
const geometry = geometryWithWindows([null]);
const NUM_BLOCKS = 17;
const prompt = { input: { kind: "tokens", tokenIds: Array.from({ length: 18 }, (_, i) => (i % 3) + 2) } } as const;
/** What ends a wait for a tier at the latest. */
const DEADLINE_MS = 2000;

/** What becomes of the copies of a runner without a GPU. */
interface Copies {
  stores: "arrive" | "are silent";
  loads: "arrive" | "are silent";
}

function makeEngine(copies: Copies) {
  const memory = new HostMemory({ chunkBytes: geometry.pageBytes, maxBytes: 16 * geometry.pageBytes });
  const offload = makeOffload(memory, geometry, NUM_BLOCKS, DEFAULT_ENGINE_CONFIG, "lru", () => performance.now());
  const scheduler = makeScheduler({ geometry, numBlocks: NUM_BLOCKS }, [offload.connector]);
  const ids = [id("a"), EOS];
  const scripted = new ScriptedRunner({ r1: ids, r2: ids });
  const runner: ModelRunner = {
    submit: (output: SchedulerOutput) => {
      const { stores, loads } = output.transfers;
      const silent = new Promise<TransferResult>(() => {});
      const results = [
        ...stores.map(({ jobId, epoch, blockIds }) => ({ jobId, epoch, numBlocks: blockIds.length })),
        ...loads.map(({ jobId, epoch, blocks }) => ({ jobId, epoch, numBlocks: blocks.length })),
      ];
      const fates = [...stores.map(() => copies.stores), ...loads.map(() => copies.loads)];
      const transfers = results.map((result, i) => (fates[i] === "arrive" ? Promise.resolve(result) : silent));
      return { landed: scripted.submit(output).landed, transfers };
    },
    dispose: () => {},
  };
  const engine = new Engine(makeParts(runner, { scheduler, geometry, offload }));
  const generate = (requestId: string): GenerateEvent[] => {
    const events: GenerateEvent[] = [];
    engine.generate(makeRequest(requestId, prompt), (event) => events.push(event));
    return events;
  };
  return { engine, scheduler, generate };
}

/** Lets so much time pass in which nothing else happens, and whatever is due then. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("a wait for a tier ends by its deadline, though nothing else happens:", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("of a request whose prefix is being stored and never arrives there", async () => {
    const { engine, scheduler, generate } = makeEngine({ stores: "are silent", loads: "arrive" });
    const first = generate("r1");
    await pass(0);
    expect(summarize(first)).toBe('started "a" "" done:stop');
    await engine.kvClear(["gpu"]);
    const second = generate("r2");
    await pass(DEADLINE_MS - 1);
    expect(summarize(second)).toBe("started");
    expect(scheduler.numDeferred).toBe(1);
    await pass(1);
    expect(summarize(second)).toBe('started "a" "" done:stop');
    expect(engine.kvStats().deferrals).toMatchObject({ pending: 1, numTimedOut: 1, numWaiting: 0 });
  });

  it("of one whose load is silent", async () => {
    const copies: Copies = { stores: "arrive", loads: "are silent" };
    const { engine, scheduler, generate } = makeEngine(copies);
    generate("r1");
    await pass(0);
    await engine.kvClear(["gpu"]);
    const second = generate("r2");
    await pass(DEADLINE_MS - 1);
    expect(summarize(second)).toBe("started");
    expect(scheduler.numLoading).toBe(1);
    await pass(1);
    expect(summarize(second)).toBe('started "a" "" done:stop');
    expect(engine.kvStats().loads).toMatchObject({ numStarted: 1, numFailed: 1 });
  });

  it("and of a prefetch, which then tells that nothing came", async () => {
    const { engine, generate } = makeEngine({ stores: "arrive", loads: "are silent" });
    generate("r1");
    await pass(0);
    await engine.kvClear(["gpu"]);
    const ends: unknown[] = [];
    const { input } = prompt;
    void engine.kvPrefetch({ requestId: "p", input, cacheSalt: null }).then((result) => ends.push(result));
    await pass(DEADLINE_MS - 1);
    expect(ends).toEqual([]);
    await pass(1);
    expect(ends).toEqual([{ promptTokens: 18, tokens: { gpu: 0, host: 0, storage: 0 } }]);
  });
});
