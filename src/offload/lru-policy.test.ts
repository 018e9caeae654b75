import { expect, test } from "vitest";
import { LruPolicy } from "./lru-policy";

const NOTHING = new Set<string>();

/** Idle chunks, by single letters, the head of a prefix first. */
function makePolicy(...prefixes: string[]): LruPolicy {
  const policy = new LruPolicy();
  for (const keys of prefixes) {
    policy.insert([...keys]);
    for (const key of keys) policy.markStored(key);
  }
  return policy;
}

function evict(policy: LruPolicy, numChunks: number, protectedKeys: Iterable<string> = []): string | null {
  return policy.evict(numChunks, new Set(protectedKeys))?.join("") ?? null;
}

test("the prefix stored longest ago goes first, each from its tail", () => {
  const policy = makePolicy("abc", "xy");
  expect(policy.keys).toEqual([..."cbayx"]);
  expect(evict(policy, 4)).toBe("cbay");
  expect([policy.size, policy.numIdle]).toEqual([1, 1]);
});

test("touch makes a prefix recent, its head most; chunks that it does not know are passed over", () => {
  const policy = makePolicy("abc", "xy");
  policy.touch([..."a?b"]);
  expect(policy.keys).toEqual([..."cyxba"]);
  expect(policy.size).toBe(5);
});

test("a chunk that is being written is not evicted; it can be touched, and keeps its place when it was stored", () => {
  const policy = new LruPolicy();
  policy.insert([..."abc"]);
  expect([policy.size, policy.numIdle, evict(policy, 1)]).toEqual([3, 0, null]);
  policy.touch(["c"]);
  for (const key of "cab") policy.markStored(key);
  expect(evict(policy, 3)).toBe("bac");
});

test("a pinned chunk is not evicted; it can be touched, and is the most recent when its last reader has left", () => {
  const policy = makePolicy("abc");
  policy.pin("c");
  policy.pin("b");
  expect([policy.size, policy.numIdle]).toEqual([3, 1]);
  policy.touch(["c"]);
  expect(policy.keys).toEqual([..."bac"]);
  policy.unpin("b");
  expect(policy.keys).toEqual([..."acb"]);
  expect(evict(policy, 2)).toBe("ab");
});

test("eviction is all or nothing: where protected or busy chunks leave too few, nothing has changed", () => {
  const policy = makePolicy("abcd");
  policy.pin("d");
  expect(evict(policy, 3, "b")).toBeNull();
  const { numVisited } = policy;
  expect([evict(policy, 4), policy.numVisited]).toEqual([null, numVisited]); // Without a look, for three are idle.
  expect(policy.keys).toEqual([..."dcba"]);
  expect(policy.numIdle).toBe(3);
  expect(evict(policy, 2, "b?")).toBe("ca");
  expect(policy.keys).toEqual([..."db"]);
  expect(evict(policy, 0)).toBe("");
});

test("what was removed is gone, idle or not; clear forgets all", () => {
  const policy = makePolicy("abc");
  policy.pin("b");
  policy.remove("b");
  policy.remove("c");
  expect([policy.keys, policy.size, policy.numIdle]).toEqual([["a"], 1, 1]);
  policy.clear();
  expect([policy.size, policy.numIdle]).toEqual([0, 0]);
});

test("only touch may name a chunk that has no slot", () => {
  const policy = makePolicy("a");
  expect(() => policy.markStored("b")).toThrow("chunk b has no place in the order of eviction");
  expect(() => policy.pin("b")).toThrow("chunk b has no place");
  expect(() => policy.remove("b")).toThrow("chunk b has no place");
});

test("a batch is found in one walk", () => {
  const policy = makePolicy("xyz");
  const keys = Array.from({ length: 100 }, (_, i) => String(i));
  policy.insert(keys);
  for (const key of keys) policy.markStored(key);
  for (const key of "xyz") policy.pin(key);
  expect(policy.evict(90, NOTHING)).toEqual(keys.slice(10).toReversed());
  expect(policy.numVisited).toBe(93);
});
