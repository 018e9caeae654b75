import { expect, it } from "vitest";
import { Random } from "./random";

it("gives the same values for the same seed, others for another", () => {
  const draw = (seed: number) => new Random(seed).normalArray(8);
  expect(draw(7)).toEqual(draw(7));
  expect(draw(8)).not.toEqual(draw(7));
});

it("keeps uniform values in their range and spreads them", () => {
  const values = new Random(1).uniformArray(10_000, -2, 2);
  expect(values.every((value) => value >= -2 && value <= 2)).toBe(true);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(Math.abs(mean)).toBeLessThan(0.05);
});

it("draws each integer of a range alike", () => {
  const counts = [0, 0, 0, 0, 0];
  for (const value of new Random(2).intArray(10_000, 3, 8)) counts[value - 3]++;
  expect(counts.every((count) => Math.abs(count - 2000) < 200)).toBe(true);
});

it("draws normals with the asked standard deviation", () => {
  const values = new Random(3).normalArray(10_000, 2);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length - mean * mean;
  expect(Math.abs(mean)).toBeLessThan(0.1);
  expect(Math.abs(variance - 4)).toBeLessThan(0.2);
  expect(values.every(Number.isFinite)).toBe(true);
});
