import fc from "fast-check";
import { type KvGeometry, maxBlocksHeld } from "../kv/geometry";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { ExpectedTokens, type PrefixTrie, type SampleScript } from "./expected-tokens.property.fixture";
import type { SchedulerOptions } from "./scheduler-options";

export const EOS = 0;
export const MAX_TURNS_HELD = 3;

/** A length near a block boundary, whatever the block size is. */
interface Length {
  readonly numBlocks: number;
  readonly numMoreTokens: number;
}

const arbitraryLength = (maxNumBlocks: number): fc.Arbitrary<Length> =>
  fc.record({
    numBlocks: fc.nat(maxNumBlocks),
    numMoreTokens: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: -1, max: 1 }) }, fc.nat(15)),
  });

const arbitraryRequest = fc.record({
  numPromptTokens: arbitraryLength(4),
  /** Of the requests that came before it, the one whose tokens (output included) begin its prompt; null for none. */
  parent: fc.option(fc.nat(2), { freq: 8 }),
  numParentTokens: arbitraryLength(8),
  /** Requests of equal seeds sample equal ids at equal positions. */
  seed: fc.nat(1),
  maxTokens: fc.nat(75),
  priority: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: -1, max: 2 })),
  usePrefixCache: fc.oneof({ weight: 10, arbitrary: fc.constant(true) }, fc.constant(false)),
  cacheSalt: fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, fc.constantFrom("", "null")),
  /** The turn before which it arrives. */
  arrivalTurn: fc.oneof(fc.constant(0), fc.nat(60)),
  /** It comes when a request has ended that steps in flight still name, takes its id, begins like it, and is the next. */
  reusesId: fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, fc.constant(true)),
  /** Constrained: turns from an id that came back to its release; null: not constrained. */
  numTurnsHeld: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, fc.nat(MAX_TURNS_HELD)),
  /** Turns after its arrival that it is ended from outside; null never. */
  stop: fc.option(fc.record({ numTurns: fc.nat(30), reason: fc.constantFrom("abort" as const, "stop" as const) }), {
    freq: 2,
  }),
});

const arbitraryWindow = fc.integer({ min: 1, max: 12 });
const arbitraryWindows = fc.oneof(
  fc.constant([null]),
  fc.tuple(fc.constant(null), arbitraryWindow),
  fc.tuple(fc.constant(null), arbitraryWindow, arbitraryWindow),
  fc.tuple(arbitraryWindow),
  fc.tuple(arbitraryWindow, arbitraryWindow),
);

export const arbitraryRun = fc.record({
  blockSize: fc.constantFrom(1, 2, 4, 16),
  /** One for each layer: quarters of a block, and one token; null is full attention. */
  windowQuarters: arbitraryWindows as fc.Arbitrary<(number | null)[]>,
  /** The pool, in percent of what its largest request needs. */
  poolPercent: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 100, max: 150 }) },
    fc.integer({ min: 40, max: 600 }),
  ),
  maxNumRunning: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 3, max: 7 }) }, fc.integer({ min: 1, max: 2 })),
  /** Above maxNumRunning, in quarters of a block. */
  numSpareBudgetQuarters: fc.nat(20),
  prefillChunkQuarters: fc.option(fc.integer({ min: 0, max: 12 })),
  maxModelLen: fc.record({ numBlocks: fc.integer({ min: 4, max: 14 }), numMoreTokens: fc.nat(15) }),
  maxInFlightSteps: fc.constantFrom(1, 2, 2, 3, 4),
  usePrefixCache: fc.oneof({ weight: 15, arbitrary: fc.constant(true) }, fc.constant(false)),
  admissionWatermark: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.constantFrom(0.01, 0.1, 0.3, 1)),
  scriptSeed: fc.nat(0xffff),
  /** Turn by turn, over and over: process the oldest step before one is scheduled. */
  rhythm: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
  /** Turns before which the prefix cache is reset. */
  resetTurns: fc.oneof({ weight: 3, arbitrary: fc.constant<number[]>([]) }, fc.array(fc.nat(30), { maxLength: 2 })),
  requests: fc.array(arbitraryRequest, { minLength: 1, maxLength: 16, size: "max" }),
});

export type RandomRun = typeof arbitraryRun extends fc.Arbitrary<infer T> ? T : never;
export type RandomRequest = RandomRun["requests"][number];

function geometryOf({ windowQuarters, blockSize }: RandomRun): KvGeometry {
  const windows = windowQuarters.map((quarters) => quarters && 1 + Math.floor((quarters * blockSize) / 4));
  return geometryWithWindows(windows, blockSize);
}

export function schedulerOptionsOf(run: RandomRun): SchedulerOptions {
  const { blockSize, maxNumRunning, maxInFlightSteps, usePrefixCache, admissionWatermark, prefillChunkQuarters } = run;
  const quarterBlock = (quarters: number) => Math.floor((quarters * blockSize) / 4);
  const geometry = geometryOf(run);
  const maxModelLen = Math.max(2, tokensOf(run.maxModelLen, blockSize));
  const maxNumBatchedTokens = maxNumRunning + quarterBlock(run.numSpareBudgetQuarters);
  const maxPrefillChunkTokens = prefillChunkQuarters === null ? null : 1 + quarterBlock(prefillChunkQuarters);
  const chunkTokens = Math.min(maxNumBatchedTokens, maxPrefillChunkTokens ?? maxNumBatchedTokens);
  const needs = run.requests.map((request) => {
    const numFedTokens = Math.min(numPromptTokensOf(run, request) + maxTokensOf(run, request), maxModelLen) - 1;
    return maxBlocksHeld(geometry, numFedTokens, chunkTokens * maxInFlightSteps);
  });
  const numUsableBlocks = Math.max(1, Math.ceil((Math.max(...needs) * run.poolPercent) / 100));
  const counts = { numBlocks: numUsableBlocks + 1, maxNumRunning, maxNumBatchedTokens, maxPrefillChunkTokens };
  return { geometry, ...counts, maxModelLen, maxInFlightSteps, usePrefixCache, admissionWatermark };
}

function tokensOf({ numBlocks, numMoreTokens }: Length, blockSize: number): number {
  return numBlocks * blockSize + (numMoreTokens > 1 ? numMoreTokens % blockSize : numMoreTokens);
}

function numPromptTokensOf({ blockSize }: RandomRun, { numPromptTokens }: RandomRequest): number {
  return Math.max(1, tokensOf(numPromptTokens, blockSize));
}

export function maxTokensOf({ blockSize }: RandomRun, { maxTokens }: RandomRequest): number {
  return 1 + (maxTokens % (4 * blockSize + 12));
}

/** The tokens of request `index`: they begin like its parent's, where it has one, and go on alone. */
export function expectedTokensOf(
  run: RandomRun,
  index: number,
  trie: PrefixTrie,
  parent: ExpectedTokens | null,
): ExpectedTokens {
  const request = run.requests[index];
  const numParentTokens = tokensOf(request.numParentTokens, run.blockSize);
  const promptTokenIds = Array.from({ length: numPromptTokensOf(run, request) }, (_, position) =>
    parent && position < numParentTokens ? parent.at(position) : 1000 * (index + 1) + position,
  );
  const sharesBlocks = run.usePrefixCache && request.usePrefixCache;
  const root = sharesBlocks ? `salt ${JSON.stringify(request.cacheSalt)}` : `request ${index}`;
  return new ExpectedTokens(trie, root, promptTokenIds, scriptOf(run.scriptSeed, request.seed));
}

/** About one id in 150 is EOS, one in 300 is not finite. */
function scriptOf(runSeed: number, requestSeed: number): SampleScript {
  return (position) => {
    let bits = Math.imul(position + 1, 0x9e3779b1) ^ Math.imul(2 * runSeed + requestSeed + 1, 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 15), 0xc2b2ae35);
    const value = (bits >>> 8) % 3000;
    return { tokenId: value % 150, finite: value < 2990 };
  };
}
