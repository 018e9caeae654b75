import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layerLocation, makeKvGeometry, makeKvPlanes, maxBlocksHeld } from "./geometry";
import { configWithWindows, geometryWithWindows } from "./geometry.fixture";

const S = 32;

describe("makeKvGeometry", () => {
  test("one kind of layer makes one group", () => {
    const geometry = makeKvGeometry(configWithWindows([null, null, null]), "f16");
    expect(geometry.groups).toEqual([{ kind: "full", window: null, layers: [0, 1, 2] }]);
    // K and V, 2 heads, 16 tokens, 8 wide, 2 bytes
    expect(geometry.layerSlotBytes).toBe(1024);
    expect(geometry.pageBytes).toBe(3072);
    expect(makeKvGeometry(configWithWindows([null]), "f32").layerSlotBytes).toBe(2048);
  });

  test("a block has the 16 tokens that the kernels have", () => {
    expect(geometryWithWindows([null]).blockSize).toBe(16);
    expect(makeKvGeometry(configWithWindows([null]), "f16").blockSize).toBe(16);
  });

  test("windows in every layer make one sliding group", () => {
    expect(geometryWithWindows([S, S]).groups).toEqual([{ kind: "sliding", window: S, layers: [0, 1] }]);
  });

  test("the demo model: 1 full and 2 sliding groups of 2", () => {
    const geometry = geometryWithWindows([S, S, null, S, S, null]);
    expect(geometry.numLayerSlots).toBe(2);
    expect(geometry.groups).toEqual([
      { kind: "full", window: null, layers: [2, 5] },
      { kind: "sliding", window: S, layers: [0, 1] },
      { kind: "sliding", window: S, layers: [3, 4] },
    ]);
  });

  test("Gemma 3 1B: 26 layers, each 6th full, make 1 full and 6 sliding groups of 4", () => {
    const geometry = geometryWithWindows(Array.from({ length: 26 }, (_, layer) => (layer % 6 === 5 ? null : 512)));
    expect(geometry.numLayerSlots).toBe(4);
    expect(geometry.groups.map(({ layers }) => layers)).toEqual([
      [5, 11, 17, 23],
      [0, 1, 2, 3],
      [4, 6, 7, 8],
      [9, 10, 12, 13],
      [14, 15, 16, 18],
      [19, 20, 21, 22],
      [24, 25],
    ]);
    expect(layerLocation(geometry, 17)).toEqual({ group: 0, layerSlot: 2 });
    expect(layerLocation(geometry, 25)).toEqual({ group: 6, layerSlot: 1 });
  });

  test("different windows never share a table", () => {
    expect(geometryWithWindows([64, S, S]).groups).toEqual([
      { kind: "sliding", window: S, layers: [1] },
      { kind: "sliding", window: S, layers: [2] },
      { kind: "sliding", window: 64, layers: [0] },
    ]);
  });

  test("errors name what is missing", () => {
    expect(() => geometryWithWindows([])).toThrow(expect.objectContaining({ code: "invalid_config" }));
    expect(() => layerLocation(geometryWithWindows([null]), 1)).toThrow(
      expect.objectContaining({ code: "internal", data: { layer: 1 } }),
    );
  });
});

describe("makeKvPlanes", () => {
  const geometry = geometryWithWindows(Array(5).fill(null));
  const slotBytes = 10 * geometry.layerSlotBytes;

  test("one plane where one binding suffices", () => {
    expect(makeKvPlanes(geometry, 10, 5 * slotBytes)).toEqual([
      { firstLayerSlot: 0, numLayerSlots: 5, pageBytes: geometry.pageBytes, bytes: 5 * slotBytes },
    ]);
  });

  test("as few planes as fit, evenly filled", () => {
    const planes = makeKvPlanes(geometry, 10, 5 * slotBytes - 1);
    expect(planes.map(({ firstLayerSlot, numLayerSlots }) => [firstLayerSlot, numLayerSlots])).toEqual([
      [0, 3],
      [3, 2],
    ]);
    expect(planes.map((plane) => plane.bytes)).toEqual([3 * slotBytes, 2 * slotBytes]);
    expect(planes.map((plane) => plane.pageBytes)).toEqual([3 * 2048, 2 * 2048]);
  });

  test("one slot a plane, then an error with the numbers", () => {
    expect(makeKvPlanes(geometry, 10, slotBytes)).toHaveLength(5);
    expect(() => makeKvPlanes(geometry, 10, slotBytes - 1)).toThrow(
      expect.objectContaining({
        code: "device_limit",
        data: { limit: "maxStorageBufferBindingSize", needed: slotBytes, available: slotBytes - 1 },
      }),
    );
  });
});

describe("maxBlocksHeld", () => {
  test("exact values around block and window edges", () => {
    const full = geometryWithWindows([null]);
    expect([1, 16, 17, 32, 33].map((numTokens) => maxBlocksHeld(full, numTokens, 8))).toEqual([1, 1, 2, 2, 3]);
    const sliding = geometryWithWindows([17]);
    // the window's 16 earlier tokens and the chunk, at the worst alignment
    expect([1, 2, 17, 18].map((chunk) => maxBlocksHeld(sliding, 1000, chunk))).toEqual([2, 3, 3, 4]);
    expect(maxBlocksHeld(sliding, 20, 1)).toBe(2);
    expect(maxBlocksHeld(geometryWithWindows([17, null]), 1000, 1)).toBe(63 + 2);
  });

  test("beside what is done already: the blocks that are yet to come", () => {
    const full = geometryWithWindows([null], 4);
    expect([0, 1, 4, 5, 8, 9, 20].map((numDone) => maxBlocksHeld(full, 9, 8, numDone))).toEqual([3, 2, 2, 1, 1, 0, 0]);
    // Window and chunk touch at most 3 blocks at once; near the end there are fewer to come.
    const sliding = geometryWithWindows([5], 4);
    expect([0, 80, 88, 92, 96, 97].map((numDone) => maxBlocksHeld(sliding, 100, 5, numDone))).toEqual([
      3, 3, 3, 2, 1, 0,
    ]);
    expect(maxBlocksHeld(geometryWithWindows([null, 5], 4), 100, 5, 80)).toBe(5 + 3);
  });

  test("counts in blocks of the geometry's size", () => {
    expect([1, 2, 4, 8, 16].map((blockSize) => maxBlocksHeld(geometryWithWindows([null], blockSize), 33, 1))).toEqual([
      33, 17, 9, 5, 3,
    ]);
    expect(maxBlocksHeld(geometryWithWindows([9], 8), 1000, 1)).toBe(2);
  });

  test("is the maximum over all positions, found by counting", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 4, 16),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 120 }),
        (blockSize, window, chunk, numTokens) => {
          let most = 0;
          for (let start = 0; start < numTokens; start++) {
            const end = Math.min(start + chunk, numTokens);
            const held = new Set<number>();
            for (let p = Math.max(0, start - window + 1); p < end; p++) held.add(Math.floor(p / blockSize));
            most = Math.max(most, held.size);
          }
          const bound = maxBlocksHeld(geometryWithWindows([window], blockSize), numTokens, chunk);
          expect(bound).toBeGreaterThanOrEqual(most);
          // exact once the context is long enough to meet the worst alignment
          if (numTokens >= window + chunk + 2 * blockSize) expect(bound).toBe(most);
        },
      ),
    );
  });

  test("what is yet to come is never less than what a step holds of it, found by counting", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 60 }),
        fc.nat(60),
        (window, chunk, numTokens, numDone) => {
          const firstNew = Math.ceil(numDone / 4);
          const bound = maxBlocksHeld(geometryWithWindows([window], 4), numTokens, chunk, numDone);
          for (let start = numDone; start < numTokens; start++) {
            const firstHeld = Math.max(firstNew, Math.floor(Math.max(0, start - window + 1) / 4));
            const numHeld = Math.ceil(Math.min(start + chunk, numTokens) / 4) - firstHeld;
            expect(bound).toBeGreaterThanOrEqual(numHeld);
          }
        },
      ),
    );
  });
});
