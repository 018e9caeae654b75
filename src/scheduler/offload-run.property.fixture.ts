import fc from "fast-check";
import { OFFLOAD_POLICIES } from "../offload/offload-policy";
import { arbitraryRun, type RandomRun } from "./random-run.property.fixture";

/** What becomes of a copy. */
const arbitraryFate = fc.record({
  /** Turns from its submission to its result; null: none comes. */
  delay: fc.oneof(
    { weight: 40, arbitrary: fc.constant<number | null>(0) },
    { weight: 30, arbitrary: fc.nat(8) },
    { weight: 15, arbitrary: fc.integer({ min: 8, max: 60 }) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  /** Of a load: the share of its blocks that arrive, in quarters. A store arrives with all four. */
  numGoodQuarters: fc.oneof({ weight: 6, arbitrary: fc.constant(4) }, fc.nat(3)),
});

export const arbitraryOffload = fc.record({
  blocksPerChunk: fc.constantFrom(1, 1, 2, 3),
  numSlots: fc.oneof(fc.nat(12), fc.integer({ min: 0, max: 120 })),
  numStagingSlots: fc.integer({ min: 1, max: 4 }),
  evictionPolicy: fc.constantFrom("lru" as const, "arc" as const),
  storeThreshold: fc.constantFrom(1, 1, 1, 2),
  policy: fc.constantFrom("storeOnCompute" as const, "storeOnCompute" as const, ...OFFLOAD_POLICIES),
  maxBlocksPerStep: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 40 })),
  msPerTurn: fc.constantFrom(1, 1, 20, 100, 500),
  /** By the number of the job, over and over. */
  fates: fc.array(arbitraryFate, { minLength: 1, maxLength: 12 }),
  clearTurns: fc.oneof({ weight: 2, arbitrary: fc.constant<number[]>([]) }, fc.array(fc.nat(60), { maxLength: 2 })),
  /** Turns that the result of a load takes at least. */
  minLoadDelay: fc.constantFrom<number>(0, 0, 10, 30),
  /** By the number of the request, over and over: it is aborted as soon as that is its state; null: it is not. */
  abortsWhen: fc.oneof(
    { weight: 2, arbitrary: fc.constant<("loading" | "deferred" | null)[]>([null]) },
    fc.array(fc.constantFrom("loading" as const, "deferred" as const, null, null), { minLength: 1, maxLength: 8 }),
  ),
  /** The device is lost when a request loads for the first time. */
  losesDeviceWhenLoading: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, fc.constant(true)),
  lossTurns: fc.oneof({ weight: 4, arbitrary: fc.constant<number[]>([]) }, fc.array(fc.nat(150), { maxLength: 3 })),
});

export type OffloadSetup = typeof arbitraryOffload extends fc.Arbitrary<infer T> ? T : never;
export type Fate = OffloadSetup["fates"][number];

/** Requests that make a tier worth having: long prompts that begin like others, and long answers. */
const arbitraryDemand = fc.record({
  parent: fc.option(fc.nat(2), { freq: 6 }),
  numParentBlocks: fc.integer({ min: 1, max: 9 }),
  numPromptBlocks: fc.nat(9),
  maxTokens: fc.integer({ min: 10, max: 75 }),
  arrivalTurn: fc.nat(120),
  /** Null never, where many are to be. */
  stopsAfter: fc.option(fc.nat(60), { freq: 1 }),
});

/** Random runs of the scheduler, some of whose requests are of that kind, and whose prefix cache is emptied more often. */
const arbitraryLoadedRun = fc
  .record({
    run: arbitraryRun,
    demands: fc.array(fc.option(arbitraryDemand, { freq: 8 }), { minLength: 6, maxLength: 16, size: "max" }),
    resetTurns: fc.array(fc.nat(150), { maxLength: 12 }),
    numBlocksOfContext: fc.integer({ min: 6, max: 24 }),
    poolPercent: fc.integer({ min: 100, max: 220 }),
  })
  .map(({ run, demands, resetTurns, numBlocksOfContext, poolPercent }): RandomRun => {
    const requests = demands.map((demand, i) => {
      const request = run.requests[i % run.requests.length];
      if (!demand) return request;
      const { parent, numParentBlocks, numPromptBlocks, maxTokens, arrivalTurn, stopsAfter } = demand;
      return {
        ...request,
        parent,
        numParentTokens: { numBlocks: numParentBlocks, numMoreTokens: 0 },
        numPromptTokens: { ...request.numPromptTokens, numBlocks: numPromptBlocks },
        maxTokens,
        arrivalTurn,
        stop: stopsAfter === null ? null : { numTurns: stopsAfter, reason: "abort" as const },
      };
    });
    const maxModelLen = { ...run.maxModelLen, numBlocks: numBlocksOfContext };
    return { ...run, requests, maxModelLen, resetTurns, poolPercent };
  });

/**
 * One request leaves a long prefix in the host tier and nothing on the GPU; then some load it, slowly, while others grow
 * in a pool that is too small for all.
 */
const arbitrarySqueeze = fc
  .record({
    run: arbitraryRun,
    offload: arbitraryOffload,
    numPrefixBlocks: fc.integer({ min: 3, max: 8 }),
    resetTurn: fc.integer({ min: 30, max: 40 }),
    kinds: fc.array(fc.constantFrom("loads" as const, "grows" as const, "grows" as const, "grows" as const), {
      minLength: 7,
      maxLength: 15,
      size: "max",
    }),
    maxTokens: fc.integer({ min: 10, max: 75 }),
    poolPercent: fc.integer({ min: 100, max: 150 }),
    minLoadDelay: fc.integer({ min: 10, max: 40 }),
  })
  .map(({ run, offload, numPrefixBlocks, resetTurn, kinds, maxTokens, poolPercent, minLoadDelay }): OffloadRun => {
    const base = { ...run.requests[0], stop: null, usePrefixCache: true, cacheSalt: null, priority: 0, maxTokens };
    const length = (numBlocks: number, numMoreTokens = 0) => ({ numBlocks, numMoreTokens });
    const first = { ...base, numPromptTokens: length(numPrefixBlocks, 1), parent: null, arrivalTurn: 0, maxTokens: 0 };
    const others = kinds.map((kind, i) => ({
      ...base,
      arrivalTurn: resetTurn + 1 + i,
      parent: kind === "loads" ? 0 : null,
      numParentTokens: length(numPrefixBlocks),
      numPromptTokens: kind === "loads" ? length(numPrefixBlocks, 1) : length(1),
    }));
    const maxModelLen = { ...run.maxModelLen, numBlocks: 24 };
    return {
      run: {
        ...run,
        requests: [first, ...others],
        resetTurns: [resetTurn],
        maxModelLen,
        poolPercent,
        usePrefixCache: true,
      },
      offload: {
        ...offload,
        minLoadDelay,
        fates: offload.fates.map(({ delay, numGoodQuarters }) => ({ delay: delay ?? 0, numGoodQuarters })),
        numSlots: 100,
        storeThreshold: 1,
        policy: "storeOnCompute",
        msPerTurn: 1,
        clearTurns: [],
        lossTurns: [],
      },
    };
  });

export interface OffloadRun {
  readonly run: RandomRun;
  readonly offload: OffloadSetup;
}

export const arbitraryOffloadRun: fc.Arbitrary<OffloadRun> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ run: arbitraryLoadedRun, offload: arbitraryOffload }) },
  { weight: 3, arbitrary: arbitrarySqueeze },
);
