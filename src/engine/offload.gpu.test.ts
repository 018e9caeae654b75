import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesSource } from "../testing/demo-model";
import { GOLDEN_BOUNDS } from "../testing/golden-job";
import { openDawnGpu } from "../testing/gpu";
import * as cases from "../testing/offload-cases";
import { OffloadScenarios } from "../testing/offload-scenarios";
import { OffloadTrials } from "../testing/offload-trials";
import { DEMO_MODEL } from "../testing/test-engine";

const gpu = await openDawnGpu();

/** In f16 the host tier is too small for all prompts, so that some of their chunks are nowhere. */
const MODES = [
  { kvDtype: "f32", maxInFlightSteps: 2, hostCacheBytes: null },
  { kvDtype: "f16", maxInFlightSteps: 1, hostCacheBytes: cases.SCARCE_HOST_BYTES },
] as const;

describe.skipIf(!gpu).each(MODES)("with KV in $kvDtype, $maxInFlightSteps steps in flight", (mode) => {
  const { kvDtype, maxInFlightSteps, hostCacheBytes } = mode;
  const bounds = GOLDEN_BOUNDS[kvDtype];
  let scenarios: OffloadScenarios;
  beforeAll(async () => {
    const engine = { useGemvUpToTokens: 1, maxInFlightSteps, hostCacheBytes };
    scenarios = await OffloadScenarios.open(gpu as GPU, { model: filesSource(DEMO_MODEL), kvDtype, engine });
  });
  afterAll(() => scenarios.dispose());

  it("prompts of four times the pool are found where an oracle says, with the ids and logits of computing them", async () => {
    const { prompts, orders, maxTokens, options } = cases.REVISITS[kvDtype];
    const report = await scenarios.revisit(prompts, orders, { maxTokens, minGap: bounds.gap }, options);
    expect(report.numPromptBlocks).toBeGreaterThanOrEqual(4 * report.numPoolBlocks);
    expect(report.problems).toEqual([]);
    for (const visit of [...report.firstVisits, ...report.laterVisits]) {
      expect(visit.found).toEqual(visit.predicted);
      expect(visit.tokenIds.slice(0, visit.certainIds.length)).toEqual(visit.certainIds);
      expect(visit.logitError).toBeLessThan(bounds.logit);
    }
    const found = report.laterVisits.map(({ found }) => found);
    const count = (isOne: (of: (typeof found)[number]) => boolean) => found.filter(isOne).length;
    expect(count(({ gpu, host }) => gpu > 0 && host === 0)).toBeGreaterThan(1);
    expect(count(({ gpu, host }) => gpu === 0 && host > 0)).toBeGreaterThan(1);
    expect(count(({ gpu, host }) => gpu > 0 && host > 0)).toBeGreaterThan(0);
    if (hostCacheBytes === null) return;
    expect(report.numHostEvictions).toBeGreaterThan(0);
    expect(count(({ gpu, host }) => gpu + host === 0)).toBeGreaterThan(0);
  });

  it("6 requests at once with a prefix that is in RAM load it once", async () => {
    const report = await scenarios.onePrefix(cases.COMMON_PREFIX, cases.SUFFIXES, 2, { maxInFlightSteps });
    expect(report.together).toEqual(report.alone);
    const others = new Array(5).fill({ gpu: 64, host: 0, storage: 0 });
    expect(report.found).toEqual([{ gpu: 0, host: 64, storage: 0 }, ...others]);
    expect(report.numLoads).toBe(1);
    expect(report.bytesLoaded).toBe(report.prefixBytes);
    expect(report.numDeferrals).toBe(5);
  });

  it("prefetch, clear and stats tell and do the same", async () => {
    const { prefetches, found, outcomes, stats } = await scenarios.kvCalls(cases.KV_CALLS_PROMPT, 3);
    expect(prefetches).toEqual(cases.KV_CALLS_FOUND.prefetches);
    expect(found).toEqual(cases.KV_CALLS_FOUND.found);
    expect(outcomes).toEqual(new Array(4).fill(outcomes[0]));
    expect(stats.tokens).toEqual(cases.KV_CALLS_FOUND.tokens);
    // 4 blocks of each group; twice: for the prefetch, and for a request.
    expect(stats.loads).toMatchObject({ numStarted: 2, numFailed: 0, bytes: 2 * 12 * stats.gpu.blockBytes });
    // 2 chunks of each group; twice: everything was cleared in between.
    expect(stats.stores).toMatchObject({ numDone: 12, numFailed: 0, numWaiting: 0, numInFlight: 0 });
    const { numSlots, numFreeSlots, numIdleSlots, numPinnedSlots, numPendingSlots, chunkBytes } = stats.host!;
    expect(stats.stores.bytes).toBe(12 * chunkBytes);
    expect([numIdleSlots, numPinnedSlots, numPendingSlots, numSlots - numFreeSlots]).toEqual([6, 0, 0, 6]);
    expect(stats.gpu.numFreeBlocks).toBe(stats.gpu.numBlocks);
  });
});

describe.skipIf(!gpu)("with windows, one staging slot and KV in f32", () => {
  const jobs = cases.GEMMA_JOBS;
  const goldenIds = jobs.map(({ greedyIds }) => greedyIds);
  let trials: OffloadTrials;
  beforeAll(async () => {
    const model = filesSource(Object.fromEntries(cases.gemmaFiles().map(({ name, bytes }) => [name, bytes])));
    trials = await OffloadTrials.open(gpu as GPU, { model, engine: cases.GEMMA_CONFIG });
  });
  afterAll(() => trials.dispose());

  it.each(["keepsUp", "fallsBehind"] as const)(
    "what a ring with late maps stores is what was written, though blocks leave windows meanwhile: it %s",
    async (pace) => {
      const three = jobs.slice(0, 3);
      const report = await trials.slowRing(three, cases.MAP_DELAY_MS, cases.SLOW_RINGS[pace]);
      expect(report.outcomes).toEqual(goldenIds.slice(0, 3));
      expect(report.numStoredUndisturbed).toBe(report.numReachable);
      expect(report.storedError).toBeLessThan(1e-4);
      expect(report.maxOnlyLeased).toBeGreaterThan(0);
      if (pace === "keepsUp") expect(report.numStored).toBeGreaterThanOrEqual(0.9 * report.numReachable);
      else expect(report.numStored).toBeGreaterThan(0);
      expect(report.revisits).toEqual(three.map(({ greedyIds }) => greedyIds.slice(-report.revisits[0].length)));
      expect(report.found.some((found) => (found?.host ?? 0) > 0)).toBe(true);
    },
  );

  it.each([
    ...(process.env.CAIRN_SOAK ? [{ maxInFlightSteps: 1, offloadPolicy: "storeOnCompute" } as const] : []),
    { maxInFlightSteps: 2, offloadPolicy: "storeOnCompute" } as const,
    { maxInFlightSteps: 2, offloadPolicy: "storeOnPreempt" } as const,
  ])("preempted requests go on from RAM: %o", async ({ maxInFlightSteps, offloadPolicy }) => {
    const options = { ...cases.SMALL_POOL, maxInFlightSteps, config: { offloadPolicy } };
    const { outcomes, stats } = await trials.preempt(jobs, options);
    expect(outcomes).toEqual(goldenIds);
    expect(stats.numPreemptions).toBeGreaterThan(0);
    expect(stats.numExternalTokens).toBeGreaterThan(0);
  });

  it("an aborted request leaves its chunks, prompt and answer, to the next", async () => {
    const numIds = cases.NUM_IDS_BEFORE_ABORT;
    const { end, abortedIds, nextIds, found } = await trials.abort(jobs[0], numIds);
    expect(end).toBe("aborted");
    expect(abortedIds).toEqual(goldenIds[0].slice(0, numIds));
    expect(nextIds).toEqual(goldenIds[0].slice(numIds + 1));
    expect(found).toEqual({ gpu: 0, host: jobs[0].promptIds.length + numIds, storage: 0 });
  });

  it("a device that is lost in the midst of a load and a store ends everything", async () => {
    const report = await trials.loseDevice(jobs[0], jobs[1].promptIds);
    expect(report.ends).toEqual(new Array(4).fill("device_lost"));
    expect(report.numStoresInFlight).toBe(1);
    // Of at least 10 in the full group and 2 in each window.
    expect(report.numBlocksLoaded).toBeLessThan(14);
  });
});
