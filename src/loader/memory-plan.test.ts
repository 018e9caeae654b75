import { expect, it } from "vitest";
import type { KvGeometry } from "../kv/geometry";
import type { CairnError } from "../util/errors";
import { type MemoryRequest, planMemory } from "./memory-plan";

const GEOMETRY: KvGeometry = {
  dtype: "f16",
  blockSize: 16,
  numKvHeads: 1,
  headDim: 16,
  groups: [{ kind: "full", window: null, layers: [0] }],
  numLayerSlots: 1,
  layerSlotBytes: 1024,
  pageBytes: 1024,
  blocksPerChunk: 1,
};

const REQUEST: MemoryRequest = {
  geometry: GEOMETRY,
  weightBytes: 10_000,
  scratchBytes: (maxModelLen) => maxModelLen,
  maxModelLen: null,
  kvCacheBytes: null,
  gpuMemoryBytes: null,
  maxPositionEmbeddings: 160,
  maxNumRunning: 4,
  maxUnprocessedTokens: 64,
};

function failure(request: MemoryRequest): CairnError {
  try {
    planMemory(request);
  } catch (error) {
    return error as CairnError;
  }
  throw new Error("it did not fail");
}

it("takes the model's context, and blocks for as many contexts as may run", () => {
  // 159 positions are fed: 10 blocks a request, and the null block.
  expect(planMemory(REQUEST)).toEqual({
    maxModelLen: 160,
    numBlocks: 41,
    minBlocks: 11,
    weightBytes: 10_000,
    scratchBytes: 160,
    kvCacheBytes: 41 * 1024,
  });
});

it("has room for the window of a sliding group and all that is unprocessed behind it, and no more", () => {
  const sliding = { kind: "sliding", window: 33, layers: [1] } as const;
  const geometry: KvGeometry = { ...GEOMETRY, groups: [...GEOMETRY.groups, sliding] };
  // 32 positions before the first unprocessed one and the 64: 96 positions touch 7 blocks at most; 2 x 64 touch all 10.
  expect(planMemory({ ...REQUEST, geometry }).minBlocks).toBe(1 + 10 + 7);
  expect(planMemory({ ...REQUEST, geometry, maxUnprocessedTokens: 128 }).minBlocks).toBe(1 + 10 + 10);
});

it("gives the pool no more than asked", () => {
  expect(planMemory({ ...REQUEST, kvCacheBytes: 20 * 1024 + 1023 })).toMatchObject({ numBlocks: 20, maxModelLen: 160 });
});

it("shortens a context that nobody asked for until it fits", () => {
  // 5 blocks beside the null block hold 80 positions, so 81 tokens with the one that is never fed.
  expect(planMemory({ ...REQUEST, kvCacheBytes: 6 * 1024 })).toMatchObject({ maxModelLen: 81, numBlocks: 6 });
});

it("counts weights and intermediate results against gpuMemoryBytes", () => {
  const gpuMemoryBytes = 10_000 + 160 + 11 * 1024;
  expect(planMemory({ ...REQUEST, gpuMemoryBytes })).toMatchObject({ maxModelLen: 160, numBlocks: 11 });
  expect(planMemory({ ...REQUEST, gpuMemoryBytes: gpuMemoryBytes - 1 }).maxModelLen).toBeLessThan(160);
});

it("refuses a context that was asked for and does not fit, with all numbers", () => {
  const error = failure({ ...REQUEST, maxModelLen: 160, gpuMemoryBytes: 16_000 });
  expect(error.code).toBe("out_of_memory");
  expect(error.data).toEqual({
    neededBytes: 10_000 + 160 + 11 * 1024,
    availableBytes: 16_000,
    weightBytes: 10_000,
    kvCacheBytes: 11 * 1024,
    scratchBytes: 160,
    longestMaxModelLen: 65,
  });
  expect(error.message).toContain("65 tokens fit");
});

it("refuses where not even one token fits", () => {
  expect(failure({ ...REQUEST, gpuMemoryBytes: 10_000 }).data).toMatchObject({ longestMaxModelLen: 0 });
});

it("refuses a context beyond the checkpoint's", () => {
  const error = failure({ ...REQUEST, maxModelLen: 161 });
  expect([error.code, error.data]).toEqual([
    "invalid_request",
    { param: "maxModelLen", value: 161, maxPositionEmbeddings: 160 },
  ]);
});
