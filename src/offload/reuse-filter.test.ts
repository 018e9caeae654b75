import { expect, test } from "vitest";
import { ReuseFilter } from "./reuse-filter";

test("a chunk reaches the threshold with its n-th sighting, which tells so once", () => {
  const filter = new ReuseFilter(3);
  expect(filter.sight(["a", "b"])).toEqual([]);
  expect(filter.sight(["a"])).toEqual([]);
  expect(filter.hasReached("a")).toBe(false);
  expect(filter.sight(["b", "a", "c"])).toEqual(["a"]);
  expect([..."abc?"].map((key) => filter.hasReached(key))).toEqual([true, false, false, false]);
  expect(filter.sight(["a"])).toEqual([]);
  expect(filter.hasReached("a")).toBe(true);
});

test("a count starts again from zero once its key was pushed out of the tracker", () => {
  const filter = new ReuseFilter(2, 3);
  filter.sight([..."abc"]);
  filter.sight(["d"]);
  expect(filter.numTrackedKeys).toBe(3);
  expect(filter.sight(["c"])).toEqual([]);
  expect(filter.hasReached("c")).toBe(false);
  expect(filter.sight(["c"])).toEqual(["c"]);
});

test("the key seen longest ago is pushed out; of one prompt the tail goes before the head", () => {
  const filter = new ReuseFilter(2, 3);
  filter.sight([..."abc"]);
  filter.sight(["c"]);
  filter.sight(["d"]);
  expect(filter.hasReached("c")).toBe(true);
  expect(filter.sight(["a"])).toEqual(["a"]);
  expect(filter.sight(["b"])).toEqual([]);
});

test("a prompt of more chunks than are tracked counts for its head", () => {
  const filter = new ReuseFilter(2, 2);
  filter.sight([..."abcd"]);
  expect(filter.numTrackedKeys).toBe(2);
  expect(filter.sight([..."abcd"])).toEqual(["b", "a"]);
});

test("64,000 keys are tracked unless told otherwise", () => {
  const filter = new ReuseFilter(2);
  filter.sight(Array.from({ length: 64_001 }, (_, i) => String(i)));
  expect(filter.numTrackedKeys).toBe(64_000);
  expect(filter.sight(["0", "63999", "64000"])).toEqual(["63999", "0"]);
});
