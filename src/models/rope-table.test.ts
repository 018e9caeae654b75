import { expect, it } from "vitest";
import { ropeInverseFrequencies } from "../kernels/reference/rope";
import type { RopeConfig } from "./config";
import { inverseFrequencies, ropeTable } from "./rope-table";

const LLAMA3: RopeConfig = {
  theta: 500_000,
  scaling: { kind: "llama3", factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPosition: 8192 },
};

it.each<RopeConfig>([
  { theta: 10_000, scaling: { kind: "none" } },
  { theta: 1_000_000, scaling: { kind: "linear", factor: 8 } },
  LLAMA3,
])("frequencies of $scaling.kind scaling agree with the reference", (rope) => {
  const expected = ropeInverseFrequencies(rope, 64);
  inverseFrequencies(rope, 64).forEach((frequency, i) => {
    expect(frequency / expected[i]).toBeCloseTo(1, 12);
  });
});

it("two levels joined by one complex multiply give the angle of any position", () => {
  const headDim = 8;
  const table = ropeTable(LLAMA3, headDim, 131_072);
  const frequencies = inverseFrequencies(LLAMA3, headDim);
  expect(table.length).toBe((256 + 512) * headDim);
  for (const position of [0, 1, 255, 256, 257, 4095, 65_537, 131_071]) {
    frequencies.forEach((frequency, pair) => {
      const low = (position % 256) * headDim + 2 * pair;
      const high = (256 + Math.floor(position / 256)) * headDim + 2 * pair;
      const cos = table[low] * table[high] - table[low + 1] * table[high + 1];
      expect(Math.abs(cos - Math.cos(position * frequency))).toBeLessThan(3e-7);
    });
  }
});
