import { expect, it } from "vitest";
import {
  blockTableOffset,
  LAST_SAMPLED,
  packStep,
  type StepBatch,
  type StepBufferSizes,
  stepBufferBytes,
} from "./step-buffer";

const SIZES: StepBufferSizes = {
  maxTokens: 16,
  maxRows: 4,
  maxBlocksPerRow: 10,
  numGroups: 2,
  prefillTileTokens: 3,
  gemvUpToTokens: 1,
};

/** Row 2 decodes at position 20 with a new block in group 1; row 0 computes 4 prompt tokens from position 5 and samples. */
const BATCH: StepBatch = {
  scheduled: [
    {
      requestId: "decode",
      row: 2,
      startPosition: 20,
      numTokens: 1,
      tokens: { kind: "last-sampled" },
      blockTableUpdates: [{ group: 1, firstIndex: 1, blockIds: [9] }],
      samples: true,
    },
    {
      requestId: "prefill",
      row: 0,
      startPosition: 5,
      numTokens: 4,
      tokens: { kind: "ids", ids: [100, 101, 102, 103] },
      blockTableUpdates: [{ group: 0, firstIndex: 0, blockIds: [3, 4] }],
      samples: true,
    },
  ],
};

it("packs every list behind the header, in the order that the header says", () => {
  const { words, shape, numBlockTableUpdates } = packStep(BATCH, SIZES);
  expect([...words]).toEqual(
    [
      [5, 1, 2, 2], // tokens, decode tokens, prefill tiles, logit rows
      [8, 9, 11, 13], // where the last four lists begin
      [3, 1, 0, 0], // block table updates, GEMV tokens
      [LAST_SAMPLED, 20, 2, 0],
      [100, 5, 0, 0],
      [101, 6, 0, 0],
      [102, 7, 0, 0],
      [103, 8, 0, 0],
      [0, 0, 0, 0], // decode token 0
      [1, 3, 0, 0], // tile of tokens 1 to 3
      [4, 1, 0, 0],
      [0, 2, 21, 0], // logit rows: token, row, position of the id to be sampled
      [4, 0, 9, 0],
      [(1 * 4 + 2) * 10 + 1, 9, 0, 0],
      [0, 3, 0, 0],
      [1, 4, 0, 0],
    ].flat(),
  );
  expect(shape).toEqual({
    numTokens: 5,
    numLogitRows: 2,
    numDecodeTokens: 1,
    numGemvTokens: 1,
    numPrefillTiles: 2,
    maxDecodePosition: 20,
  });
  expect(numBlockTableUpdates).toBe(3);
});

it("a chunk that does not reach the last known token has no logit row", () => {
  const [, prefill] = BATCH.scheduled;
  const { shape } = packStep({ scheduled: [{ ...prefill, samples: false }] }, SIZES);
  expect(shape).toEqual({
    numTokens: 4,
    numLogitRows: 0,
    numDecodeTokens: 0,
    numGemvTokens: 0,
    numPrefillTiles: 2,
    maxDecodePosition: 0,
  });
});

it("puts single-token queries first, and logit rows in the order of the batch", () => {
  const [decode, prefill] = BATCH.scheduled;
  const { words, shape } = packStep({ scheduled: [prefill, decode] }, SIZES);
  const entry = (index: number) => [...words.subarray(4 * index, 4 * index + 4)];
  expect(entry(3)).toEqual([LAST_SAMPLED, 20, 2, 0]);
  expect(entry(4)).toEqual([100, 5, 0, 0]);
  expect([entry(11), entry(12)]).toEqual([
    [4, 0, 9, 0],
    [0, 2, 21, 0],
  ]);
  expect(shape.numGemvTokens).toBe(1);
});

it("sends none through GEMV where there are too many", () => {
  const { words, shape } = packStep(BATCH, { ...SIZES, gemvUpToTokens: 0 });
  expect([shape.numDecodeTokens, shape.numGemvTokens, words[9]]).toEqual([1, 0, 0]);
});

it("has room for the longest step: every row in two tiles, and with its whole tables from a prefix hit", () => {
  const blockIds = Array.from({ length: SIZES.maxBlocksPerRow }, (_, i) => 1 + i);
  const scheduled = [0, 1, 2, 3].map((row) => ({
    ...BATCH.scheduled[1],
    requestId: `r${row}`,
    row,
    blockTableUpdates: [0, 1].map((group) => ({ group, firstIndex: 0, blockIds })),
  }));
  const { words, numBlockTableUpdates } = packStep({ scheduled }, SIZES);
  expect(numBlockTableUpdates).toBe(80);
  // The bound counts 2 tiles more than there are, and room for 4 single-token queries that are none here.
  expect(stepBufferBytes(SIZES) - words.byteLength).toBe((2 + 4) * 16);
});

it("gives each group and row a block table of its own", () => {
  expect([0, 1].flatMap((group) => [0, 3].map((row) => blockTableOffset(SIZES, group, row)))).toEqual([0, 30, 40, 70]);
});
