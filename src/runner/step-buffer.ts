import { prefillTileTokens } from "../kernels/attention-prefill";
import { BLOCK_SIZE, type KvGeometry } from "../kv/geometry";
import type { ModelConfig } from "../models/config";
import type { ScratchSizes } from "../models/scratch";
import type { StepShape } from "../models/step-shape";
import type { ScheduledRequest, SchedulerOutput } from "../scheduler/scheduler-output";
import { ceilDiv } from "../util/math";

/** Sizes that the layout of the step buffer and of the block tables follows from. */
export interface StepBufferSizes {
  readonly maxTokens: number;
  /** Rows of the step state. */
  readonly maxRows: number;
  /** Entries of a row's block table. */
  readonly maxBlocksPerRow: number;
  readonly numGroups: number;
  /** Tokens that one tile of prefill attention holds. */
  readonly prefillTileTokens: number;
  /** Most single-token queries that go through GEMV. */
  readonly gemvUpToTokens: number;
}

/** The sizes that a step of at most `maxTokens` tokens and `maxRows` requests needs. */
export function stepBufferSizes(
  { numHeads, numKvHeads }: ModelConfig,
  geometry: KvGeometry,
  { maxTokens, maxRows, maxModelLen }: ScratchSizes,
  gemvUpToTokens: number,
): StepBufferSizes {
  return {
    maxTokens,
    maxRows,
    maxBlocksPerRow: ceilDiv(maxModelLen, BLOCK_SIZE),
    numGroups: geometry.groups.length,
    prefillTileTokens: prefillTileTokens(numHeads, numKvHeads),
    gemvUpToTokens,
  };
}

/** Stands for a token whose id this row sampled last; STEP_LAST_SAMPLED of common/step.wgsl. */
export const LAST_SAMPLED = 0xffffffff;

const HEADER_ENTRIES = 3;

/** What the step buffer says. */
export type StepBatch = Pick<SchedulerOutput, "scheduled">;

export interface PackedStep {
  /** The step buffer's contents: entries of four u32, laid out as common/step.wgsl says. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly shape: StepShape;
  readonly numBlockTableUpdates: number;
}

/** Bytes that the longest step takes: every list at its longest. */
export function stepBufferBytes(sizes: StepBufferSizes): number {
  const { maxTokens, maxRows, maxBlocksPerRow, numGroups, prefillTileTokens } = sizes;
  const tiles = ceilDiv(maxTokens, prefillTileTokens) + maxRows;
  // A row that begins with a prefix hit brings its whole tables at once, and every row of a step may.
  const updates = numGroups * maxRows * maxBlocksPerRow;
  return (HEADER_ENTRIES + maxTokens + 2 * maxRows + tiles + updates) * 16;
}

/** First entry of a row's block table in one group. */
export function blockTableOffset(sizes: StepBufferSizes, group: number, row: number): number {
  return (group * sizes.maxRows + row) * sizes.maxBlocksPerRow;
}

export function packStep({ scheduled }: StepBatch, sizes: StepBufferSizes): PackedStep {
  const tokens: number[] = [];
  const decodeTokens: number[] = [];
  const tiles: number[] = [];
  const logitRows: number[] = [];
  const updates: number[] = [];
  let maxDecodePosition = 0;
  const firstTokens = new Map<ScheduledRequest, number>();
  for (const request of singleTokensFirst(scheduled)) {
    firstTokens.set(request, tokens.length / 4);
    pushTokens(tokens, request);
  }
  for (const request of scheduled) {
    const { row, startPosition, numTokens } = request;
    const first = firstTokens.get(request) as number;
    if (numTokens === 1) {
      decodeTokens.push(first, 0, 0, 0);
      maxDecodePosition = Math.max(maxDecodePosition, startPosition);
    } else {
      for (let done = 0; done < numTokens; done += sizes.prefillTileTokens) {
        tiles.push(first + done, Math.min(sizes.prefillTileTokens, numTokens - done), 0, 0);
      }
    }
    if (request.samples) logitRows.push(first + numTokens - 1, row, startPosition + numTokens, 0);
    for (const { group, firstIndex, blockIds } of request.blockTableUpdates) {
      const offset = blockTableOffset(sizes, group, row) + firstIndex;
      blockIds.forEach((blockId, index) => {
        updates.push(offset + index, blockId, 0, 0);
      });
    }
  }
  const lists = [tokens, decodeTokens, tiles, logitRows, updates];
  const [numTokens, numDecodeTokens, numPrefillTiles, numLogitRows, numUpdates] = lists.map((list) => list.length / 4);
  const numGemvTokens = numDecodeTokens <= sizes.gemvUpToTokens ? numDecodeTokens : 0;
  const decodeOffset = HEADER_ENTRIES + numTokens;
  const tilesOffset = decodeOffset + numDecodeTokens;
  const logitsOffset = tilesOffset + numPrefillTiles;
  const header = [
    [numTokens, numDecodeTokens, numPrefillTiles, numLogitRows],
    [decodeOffset, tilesOffset, logitsOffset, logitsOffset + numLogitRows],
    [numUpdates, numGemvTokens, 0, 0],
  ];
  return {
    words: Uint32Array.from([...header, ...lists].flat()),
    shape: { numTokens, numLogitRows, numDecodeTokens, numGemvTokens, numPrefillTiles, maxDecodePosition },
    numBlockTableUpdates: numUpdates,
  };
}

/** The order in which the tokens of requests lie in the step buffer. */
export function singleTokensFirst<T extends { readonly numTokens: number }>(scheduled: readonly T[]): T[] {
  return [
    ...scheduled.filter(({ numTokens }) => numTokens === 1),
    ...scheduled.filter(({ numTokens }) => numTokens > 1),
  ];
}

function pushTokens(tokens: number[], { row, startPosition, numTokens, tokens: source }: ScheduledRequest): void {
  for (let i = 0; i < numTokens; i++) {
    tokens.push(source.kind === "ids" ? source.ids[i] : LAST_SAMPLED, startPosition + i, row, 0);
  }
}
