import { expect, it } from "vitest";
import type { KvGeometry } from "../kv/geometry";
import type { CairnError } from "../util/errors";
import { divideMemory, type MemoryRequest } from "./divide-memory";

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
  sizesFor: (maxModelLen) => ({
    parts: { weightBytes: 10_000, stepStateBytes: 100, scratchBytes: maxModelLen, stagingBytes: 60 },
    largest: { label: "logits", bytes: 4 * maxModelLen },
  }),
  maxBindingBytes: 1_000_000,
  maxModelLen: null,
  kvCacheBytes: null,
  gpuMemoryBytes: null,
  maxPositionEmbeddings: 160,
  maxNumRunning: 4,
  maxUnprocessedTokens: 64,
};

/** Code and data of the refusal. */
function refusal(request: MemoryRequest) {
  const { code, data, message } = divideMemory(request).refusal as CairnError;
  return { code, data, message };
}

it("takes the model's context, and blocks for as many contexts as may run", () => {
  // 159 positions are fed: 10 blocks a request, and the null block.
  expect(divideMemory(REQUEST)).toEqual({
    maxModelLen: 160,
    longestModelLen: 160,
    numBlocks: 41,
    minBlocks: 11,
    weightBytes: 10_000,
    stepStateBytes: 100,
    scratchBytes: 160,
    stagingBytes: 60,
    kvCacheBytes: 41 * 1024,
    gpuBytes: 10_320 + 41 * 1024,
    refusal: null,
  });
});

it("takes 8,192 tokens of a longer context, and tells that it could be longer", () => {
  const request = { ...REQUEST, maxPositionEmbeddings: 10_000, maxNumRunning: 1 };
  expect(divideMemory(request)).toMatchObject({ maxModelLen: 8192, longestModelLen: 10_000, minBlocks: 513 });
  expect(divideMemory({ ...request, maxModelLen: 9_000 })).toMatchObject({ maxModelLen: 9_000, minBlocks: 564 });
});

it("has room for the window of a sliding group and all that is unprocessed behind it, and no more", () => {
  const sliding = { kind: "sliding", window: 33, layers: [1] } as const;
  const geometry: KvGeometry = { ...GEOMETRY, groups: [...GEOMETRY.groups, sliding] };
  // 32 positions before the first unprocessed one and the 64: 96 positions touch 7 blocks at most; 2 x 64 touch all 10.
  expect(divideMemory({ ...REQUEST, geometry }).minBlocks).toBe(1 + 10 + 7);
  expect(divideMemory({ ...REQUEST, geometry, maxUnprocessedTokens: 128 }).minBlocks).toBe(1 + 10 + 10);
});

it("gives the pool no more than asked", () => {
  expect(divideMemory({ ...REQUEST, kvCacheBytes: 20 * 1024 + 1023 })).toMatchObject({
    numBlocks: 20,
    maxModelLen: 160,
  });
});

it("shortens a context that nobody asked for until it fits", () => {
  // 5 blocks beside the null block hold 80 positions, so 81 tokens with the one that is never fed.
  expect(divideMemory({ ...REQUEST, kvCacheBytes: 6 * 1024 })).toMatchObject({ maxModelLen: 81, numBlocks: 6 });
});

it("counts weights, step state, intermediate results and staging against gpuMemoryBytes", () => {
  const gpuMemoryBytes = 10_320 + 11 * 1024;
  expect(divideMemory({ ...REQUEST, gpuMemoryBytes })).toMatchObject({ maxModelLen: 160, numBlocks: 11 });
  expect(divideMemory({ ...REQUEST, gpuMemoryBytes: gpuMemoryBytes - 1 }).maxModelLen).toBeLessThan(160);
});

it("has no layer of the pool outgrow a binding, and shortens the context for that too", () => {
  const maxBindingBytes = 20 * 1024 + 1023;
  expect(divideMemory({ ...REQUEST, maxBindingBytes })).toMatchObject({ numBlocks: 20, maxModelLen: 160 });
  expect(divideMemory({ ...REQUEST, maxBindingBytes: 6 * 1024 })).toMatchObject({
    numBlocks: 6,
    maxModelLen: 81,
    longestModelLen: 81,
    refusal: null,
  });
});

it("refuses a context that was asked for and does not fit, and tells all numbers", () => {
  const request = { ...REQUEST, maxModelLen: 160, gpuMemoryBytes: 16_000 };
  const { code, data, message } = refusal(request);
  expect([code, data]).toEqual([
    "out_of_memory",
    {
      neededBytes: 10_320 + 11 * 1024,
      availableBytes: 16_000,
      weightBytes: 10_000,
      kvCacheBytes: 11 * 1024,
      stepStateBytes: 100,
      scratchBytes: 160,
      stagingBytes: 60,
      maxModelLen: 160,
      longestModelLen: 65,
    },
  ]);
  expect(message).toContain("65 tokens fit");
  expect(divideMemory(request)).toMatchObject({ maxModelLen: 160, longestModelLen: 65, kvCacheBytes: 11 * 1024 });
});

it("says how much is allowed where the KV cache's own size is what does not do", () => {
  const { data } = refusal({ ...REQUEST, maxModelLen: 160, kvCacheBytes: 6 * 1024, gpuMemoryBytes: 100_000 });
  expect(data).toMatchObject({ neededBytes: 10_320 + 11 * 1024, availableBytes: 10_320 + 6 * 1024 });
});

it("refuses where not even one token fits", () => {
  const { code, data, message } = refusal({ ...REQUEST, gpuMemoryBytes: 10_000 });
  expect([code, data]).toEqual([
    "out_of_memory",
    expect.objectContaining({ availableBytes: 10_000, maxModelLen: 160, longestModelLen: 0 }),
  ]);
  expect(message).toContain("No context fits");
});

it("names the buffer that no binding holds", () => {
  const limits = { limit: "maxStorageBufferBindingSize", maxModelLen: 160 };
  const [code, kv] = ["device_limit", "one layer of the KV cache"];
  expect(refusal({ ...REQUEST, maxModelLen: 160, maxBindingBytes: 6 * 1024 })).toMatchObject({
    code,
    data: { ...limits, needed: 11 * 1024, available: 6 * 1024, buffer: kv, longestModelLen: 81 },
    message: expect.stringContaining("81 tokens fit"),
  });
  const sizesFor = () => ({ ...REQUEST.sizesFor(1), largest: { label: "logits", bytes: 50_000 } });
  expect(refusal({ ...REQUEST, sizesFor, maxBindingBytes: 49_999 })).toMatchObject({
    code,
    data: { ...limits, needed: 50_000, available: 49_999, buffer: "logits", longestModelLen: 0 },
  });
});

it("refuses a context beyond the checkpoint's", () => {
  expect(() => divideMemory({ ...REQUEST, maxModelLen: 161 })).toThrow(
    expect.objectContaining({
      code: "invalid_request",
      data: { param: "maxModelLen", value: 161, maxPositionEmbeddings: 160 },
    }),
  );
});
