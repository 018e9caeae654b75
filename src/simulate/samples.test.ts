import { expect, test } from "vitest";
import { Samples } from "./samples";

function percentilesOf(values: Iterable<number>) {
  const samples = new Samples();
  for (const value of values) samples.add(value);
  return samples.percentiles();
}

test("percentiles are samples, by nearest rank, in any order of arrival and beyond the first buffer", () => {
  expect(percentilesOf([])).toBeNull();
  expect(percentilesOf([4])).toEqual({ p50: 4, p90: 4, p99: 4, max: 4 });
  expect(percentilesOf([30, 10, 20, 40])).toEqual({ p50: 20, p90: 40, p99: 40, max: 40 });
  const thousands = Array.from({ length: 5000 }, (_, i) => 5000 - i);
  expect(percentilesOf(thousands)).toEqual({ p50: 2500, p90: 4500, p99: 4950, max: 5000 });
});
