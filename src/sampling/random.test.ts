import fc from "fast-check";
import { expect, test } from "vitest";
import { randomUniform } from "./random";

const U32 = 2n ** 32n;

/** pcg3d's first word, over integers of any size. */
function pcg3d(seedLow: number, seedHigh: number, position: number): bigint {
  let [x, y, z] = [seedLow, seedHigh, position].map((word) => (BigInt(word) * 1664525n + 1013904223n) % U32);
  const mix = () => {
    x = (x + y * z) % U32;
    y = (y + z * x) % U32;
    z = (z + x * y) % U32;
  };
  mix();
  [x, y, z] = [x ^ (x >> 16n), y ^ (y >> 16n), z ^ (z >> 16n)];
  mix();
  return x;
}

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

test("equals the hash computed over big integers", () => {
  fc.assert(
    fc.property(u32, u32, u32, (low, high, position) => {
      expect(randomUniform([low, high], position) * 2 ** 24).toBe(Number(pcg3d(low, high, position) >> 8n));
    }),
    { numRuns: 1000 },
  );
});

test("known words, for other implementations to meet", () => {
  expect(randomUniform([0, 0], 0) * 2 ** 24).toBe(10203095);
  expect(randomUniform([1, 2], 3) * 2 ** 24).toBe(16424825);
  expect(randomUniform([0xffffffff, 0xdeadbeef], 12345) * 2 ** 24).toBe(12335059);
});

test("every argument matters", () => {
  const base = randomUniform([1, 2], 3);
  expect(randomUniform([1, 2], 3)).toBe(base);
  for (const other of [randomUniform([2, 2], 3), randomUniform([1, 3], 3), randomUniform([1, 2], 4)]) {
    expect(other).not.toBe(base);
  }
});

test("is uniform over positions, and neighbours are independent", () => {
  const numBins = 16;
  const pairs = new Array<number>(numBins * numBins).fill(0);
  const numDraws = 51200;
  for (let position = 0; position < numDraws; position++) {
    const bin = Math.floor(randomUniform([7, 0], position) * numBins);
    const nextBin = Math.floor(randomUniform([7, 0], position + 1) * numBins);
    pairs[bin * numBins + nextBin] += 1;
  }
  const expected = numDraws / pairs.length;
  const chiSquared = pairs.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // 0.001 and 0.999 quantiles of chi-squared with 255 degrees of freedom
  expect(chiSquared).toBeLessThan(330.5);
  expect(chiSquared).toBeGreaterThan(190.9);
});
