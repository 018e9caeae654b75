import { afterEach, describe, expect, it } from "vitest";
import type { GenerateEvent, GenerateRequest } from "../protocol/messages";
import type { SchedulerOptions } from "../scheduler/scheduler-options";
import { EOS, id, makeParts, makeRequest, makeScheduler, settle, summarize } from "../testing/engine-parts";
import { ScriptedRunner } from "../testing/scripted-runner";
import { Engine } from "./engine";

const A = id("a");
const B = id("b");
const schedulers: ReturnType<typeof makeScheduler>[] = [];

/** An engine whose runner holds every step until the test lets it land. */
function makeHeld(script: Readonly<Record<string, readonly number[]>>, options: Partial<SchedulerOptions> = {}) {
  const runner = new ScriptedRunner(script);
  runner.hold();
  const scheduler = makeScheduler(options);
  schedulers.push(scheduler);
  const engine = new Engine(makeParts(runner, { scheduler }));
  const generate = (requestId: string, fields: Partial<GenerateRequest> = {}): GenerateEvent[] => {
    const events: GenerateEvent[] = [];
    engine.generate(makeRequest(requestId, fields), (event) => events.push(event));
    return events;
  };
  const land = async () => {
    runner.releaseOne();
    await settle();
  };
  /** The requests of each step, with their tokens. */
  const batches = () =>
    runner.steps.map(({ scheduled }) =>
      scheduled.map(({ requestId, numTokens }) => `${requestId}:${numTokens}`).join(" "),
    );
  return { engine, runner, scheduler, generate, land, batches };
}

const usageOf = (events: readonly GenerateEvent[]) => {
  const last = events.at(-1);
  return last?.kind === "done" ? last.usage : null;
};

afterEach(async () => {
  await settle();
  for (const scheduler of schedulers.splice(0)) {
    scheduler.checkIntegrity();
    expect(scheduler.hasUnfinished).toBe(false);
  }
});

describe("steps in flight", () => {
  it.each([1, 2, 3])("are up to %d; the next is submitted when the oldest landed", async (maxInFlightSteps) => {
    const { runner, generate, land, batches } = makeHeld({ r: [A, B, A, B, A, B] }, { maxInFlightSteps });
    const events = generate("r", { maxTokens: 5 });
    await settle();
    expect(batches()).toEqual(["r:3", "r:1", "r:1"].slice(0, maxInFlightSteps));
    for (let numLanded = 1; numLanded <= 5; numLanded++) {
      await land();
      expect(runner.steps.length).toBe(Math.min(5, numLanded + maxInFlightSteps));
    }
    expect(summarize(events)).toBe('started "a" "b" "a" "b" "a" done:length');
  });

  it("are not joined by a request that comes later; it is in the first step behind them", async () => {
    const { runner, generate, land, batches } = makeHeld({ r1: [A, B, A, EOS], r2: [B, EOS] });
    const first = generate("r1");
    await settle();
    const second = generate("r2");
    await settle();
    expect(batches()).toEqual(["r1:3", "r1:1"]);
    await land();
    expect(batches()[2]).toBe("r1:1 r2:3");
    runner.release();
    await settle();
    expect([first, second].map(summarize)).toEqual(['started "a" "b" "a" "" done:stop', 'started "b" "" done:stop']);
  });
});

describe("what steps bring for a request that has ended", () => {
  it.each<[string, readonly number[], Partial<GenerateRequest>]>([
    ["at EOS", [A, EOS, B, A], {}],
    ["at a stop string", [A, B, A, A], { stop: ["b"] }],
    ["at EOS, with logits that are not finite behind it,", [A, EOS], {}],
  ])("%s is dropped", async (_, script, fields) => {
    const { runner, generate, land } = makeHeld({ r: script });
    const events = generate("r", fields);
    await settle();
    await land();
    await land();
    const numEvents = events.length;
    expect(summarize(events)).toBe('started "a" "" done:stop');
    expect(runner.steps).toHaveLength(3);
    runner.release();
    await settle();
    expect(events).toHaveLength(numEvents);
    expect(usageOf(events)).toEqual({
      promptTokens: 3,
      completionTokens: 2,
      cachedTokens: 0,
      cachedTokensByTier: { gpu: 0, host: 0, storage: 0 },
    });
  });

  it("by abort is dropped, of two steps in flight", async () => {
    const { engine, runner, generate, land } = makeHeld({ r: [A, B, A, B] });
    const events = generate("r");
    await settle();
    await land();
    engine.abort("r");
    await settle();
    expect(runner.steps).toHaveLength(3);
    runner.release();
    await settle();
    expect(summarize(events)).toBe('started "a" error:aborted');
  });

  it("is not given to the next request of the same id", async () => {
    const { engine, runner, generate, land, batches } = makeHeld({ r: [A, B, A, B] });
    const first = generate("r");
    await settle();
    await land();
    engine.abort("r");
    await settle();
    const second = generate("r", { maxTokens: 2 });
    await settle();
    runner.release();
    await settle();
    expect(batches()).toEqual(["r:3", "r:1", "r:1", "r:3", "r:1"]);
    expect([first, second].map(summarize)).toEqual(['started "a" error:aborted', 'started "a" "b" done:length']);
  });
});

describe("the order of requests", () => {
  it("is that of their priorities, then of their arrival", async () => {
    const { runner, generate, batches } = makeHeld({ r1: [EOS], r2: [EOS], r3: [EOS] }, { maxNumRunning: 1 });
    generate("r1", { priority: 1 });
    generate("r2", { priority: 1 });
    generate("r3", { priority: -1 });
    runner.release();
    await settle();
    expect(batches().filter((batch) => batch.endsWith(":3"))).toEqual(["r3:3", "r1:3", "r2:3"]);
  });

  it("decides who is preempted; the events of that request go on as if nothing had been", async () => {
    // Both need a block in each of two groups for 16 positions, and again for the next 16: the pool has 4.
    const ids = Array.from({ length: 20 }, (_, index) => (index % 2 ? A : B));
    const { runner, scheduler, generate } = makeHeld({ r1: ids, r2: ids }, { numBlocks: 5 });
    const both = ["r1", "r2"].map((requestId) => generate(requestId, { maxTokens: 20 }));
    runner.release();
    await settle();
    expect(scheduler.stats.numPreemptions).toBe(1);
    const text = ids.map((tokenId) => (tokenId === A ? '"a"' : '"b"')).join(" ");
    expect(both.map(summarize)).toEqual(new Array(2).fill(`started ${text} done:length`));
    expect(both.map(usageOf)).toEqual(
      new Array(2).fill({
        promptTokens: 3,
        completionTokens: 20,
        cachedTokens: 0,
        cachedTokensByTier: { gpu: 0, host: 0, storage: 0 },
      }),
    );
  });
});

describe("cached tokens", () => {
  const prompt = { input: { kind: "tokens", tokenIds: Array.from({ length: 18 }, (_, i) => (i % 3) + 2) } } as const;

  it.each<[string, Partial<GenerateRequest>, number]>([
    ["those of the prompt's full blocks", {}, 16],
    ["none, for a request that does not use the prefix cache", { usePrefixCache: false }, 0],
    ["none, for one of another salt", { cacheSalt: "other" }, 0],
  ])("are %s", async (_, fields, cachedTokens) => {
    const { runner, generate } = makeHeld({ r1: [A, EOS], r2: [A, EOS] });
    runner.release();
    const first = generate("r1", prompt);
    await settle();
    const second = generate("r2", { ...prompt, ...fields });
    await settle();
    expect(usageOf(first)).toEqual({
      promptTokens: 18,
      completionTokens: 2,
      cachedTokens: 0,
      cachedTokensByTier: { gpu: 0, host: 0, storage: 0 },
    });
    expect(usageOf(second)).toEqual({
      promptTokens: 18,
      completionTokens: 2,
      cachedTokens,
      cachedTokensByTier: { gpu: cachedTokens, host: 0, storage: 0 },
    });
  });
});
