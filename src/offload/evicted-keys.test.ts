import { expect, test } from "vitest";
import { EvictedKeys } from "./evicted-keys";

test("an eviction counts once, with the time until its chunk is first asked for again", () => {
  let nowMs = 100;
  const keys = new EvictedKeys(() => nowMs);
  keys.add("a");
  nowMs = 110;
  keys.add("b");
  nowMs = 125;
  for (const key of "aac") keys.ask(key);
  expect([keys.numReused, keys.sumGapMs]).toEqual([1, 25]);
  keys.ask("b");
  expect([keys.numReused, keys.sumGapMs]).toEqual([2, 40]);
  keys.add("a");
  nowMs = 130;
  keys.ask("a");
  expect([keys.numReused, keys.sumGapMs]).toEqual([3, 45]);
});

test("the oldest evictions are forgotten: 4,096 are remembered", () => {
  const keys = new EvictedKeys(() => 0);
  for (let i = 0; i < 4098; i++) keys.add(String(i));
  for (const key of ["0", "1"]) keys.ask(key);
  expect(keys.numReused).toBe(0);
  for (const key of ["2", "4097"]) keys.ask(key);
  expect(keys.numReused).toBe(2);
});

test("clear forgets evictions, but not what was counted", () => {
  const keys = new EvictedKeys(() => 0);
  for (const key of "ab") keys.add(key);
  keys.ask("a");
  keys.clear();
  keys.ask("b");
  expect(keys.numReused).toBe(1);
});
