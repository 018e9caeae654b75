import { describe, expect, test } from "vitest";
import { ArcPolicy } from "./arc-policy";

/** Idle chunks of T1, by single letters, the head of a prefix first. */
function store(policy: ArcPolicy, keys: string): void {
  policy.insert([...keys]);
  for (const key of keys) policy.markStored(key);
}

function makePolicy(capacity: number, keys = ""): ArcPolicy {
  const policy = new ArcPolicy(() => capacity);
  store(policy, keys);
  return policy;
}

function touch(policy: ArcPolicy, keys: string): void {
  policy.touch([...keys]);
}

function evict(policy: ArcPolicy, numChunks: number, protectedKeys: Iterable<string> = []): string | null {
  return policy.evict(numChunks, new Set(protectedKeys))?.join("") ?? null;
}

/** "T1 ab T2 c B1 - B2 d target 1": each list from its least recent. */
function stateOf(policy: ArcPolicy): string {
  const { t1, t2, b1, b2, target } = policy.state;
  const [first, second, third, fourth] = [t1, t2, b1, b2].map((keys) => keys.join("") || "-");
  return `T1 ${first} T2 ${second} B1 ${third} B2 ${fourth} target ${target}`;
}

describe("T1 and T2", () => {
  test("a new chunk goes to T1; of a prefix the tail is evicted first, and B1 remembers it", () => {
    const policy = makePolicy(4, "abc");
    expect(stateOf(policy)).toBe("T1 cba T2 - B1 - B2 - target 0");
    expect(evict(policy, 2)).toBe("cb");
    expect(stateOf(policy)).toBe("T1 a T2 - B1 cb B2 - target 0");
    expect([policy.size, policy.numIdle]).toEqual([1, 1]);
  });

  test("a readable chunk that is touched moves from T1 to T2, also while it is pinned", () => {
    const policy = makePolicy(4, "abc");
    policy.pin("b");
    touch(policy, "ab");
    expect(stateOf(policy)).toBe("T1 c T2 ba B1 - B2 - target 0");
    expect([policy.size, policy.numIdle]).toEqual([3, 2]);
    policy.unpin("b");
    expect(stateOf(policy)).toBe("T1 c T2 ab B1 - B2 - target 0");
  });

  test("a chunk that is being written stays in T1 when it is touched, and is idle there when it was stored", () => {
    const policy = makePolicy(4, "ab");
    policy.insert(["c"]);
    touch(policy, "c");
    expect(stateOf(policy)).toBe("T1 bac T2 - B1 - B2 - target 0");
    expect([policy.size, policy.numIdle]).toEqual([3, 2]);
    policy.markStored("c");
    expect([stateOf(policy), policy.numIdle]).toEqual(["T1 bac T2 - B1 - B2 - target 0", 3]);
    touch(policy, "c");
    expect(stateOf(policy)).toBe("T1 ba T2 c B1 - B2 - target 0");
  });

  test("touch order: the head of a prefix is the most recent in T2, and what is unknown is passed over", () => {
    const policy = makePolicy(4, "abcd");
    touch(policy, "ab?c");
    expect(stateOf(policy)).toBe("T1 d T2 cba B1 - B2 - target 0");
    touch(policy, "bc");
    expect(stateOf(policy)).toBe("T1 d T2 acb B1 - B2 - target 0");
  });

  test("pins and releases keep a chunk in its list, most recent when its last reader has left", () => {
    const policy = makePolicy(4, "abc");
    policy.pin("c");
    expect(stateOf(policy)).toBe("T1 cba T2 - B1 - B2 - target 0");
    policy.unpin("c");
    expect(stateOf(policy)).toBe("T1 bac T2 - B1 - B2 - target 0");
  });

  test("a store that failed leaves no trace, nor does a chunk of T2 that is forgotten", () => {
    const policy = makePolicy(4, "ab");
    touch(policy, "a");
    policy.insert(["c"]);
    policy.remove("c");
    policy.remove("a");
    expect(stateOf(policy)).toBe("T1 b T2 - B1 - B2 - target 0");
    touch(policy, "ca");
    expect(stateOf(policy)).toBe("T1 b T2 - B1 - B2 - target 0");
    expect(() => policy.remove("a")).toThrow("chunk a has no place in the order of eviction");
  });
});

describe("eviction", () => {
  test("from T1 while it has its target or more, else from T2", () => {
    const policy = makePolicy(6, "abcdef");
    touch(policy, "def");
    expect(evict(policy, 1)).toBe("c");
    touch(policy, "c");
    expect(stateOf(policy)).toBe("T1 ba T2 fed B1 c B2 - target 1");
    expect(evict(policy, 3)).toBe("baf");
    expect(stateOf(policy)).toBe("T1 - T2 ed B1 cba B2 f target 1");
  });

  test("from T2 where all of T1 is in use, or was taken already", () => {
    const policy = makePolicy(6, "abcde");
    touch(policy, "cde");
    policy.pin("b");
    expect(evict(policy, 3)).toBe("aed");
    expect(stateOf(policy)).toBe("T1 b T2 c B1 a B2 ed target 0");
  });

  test("from T1 where T2 has nothing idle, though T1 is below its target", () => {
    const policy = makePolicy(4, "abcd");
    evict(policy, 2);
    touch(policy, "cd");
    touch(policy, "b");
    policy.pin("b");
    expect(stateOf(policy)).toBe("T1 a T2 b B1 dc B2 - target 2");
    expect(evict(policy, 1)).toBe("a");
  });

  test("a pinned chunk is not evicted; when its last reader has left, it goes last", () => {
    const policy = makePolicy(4, "abcd");
    policy.pin("d");
    policy.pin("c");
    expect(evict(policy, 1)).toBe("b");
    policy.unpin("d");
    expect(evict(policy, 2)).toBe("ad");
    expect(stateOf(policy)).toBe("T1 c T2 - B1 bad B2 - target 0");
  });

  test("is all or nothing: where protected or busy chunks leave too few, no list has changed", () => {
    const policy = makePolicy(5, "abcde");
    touch(policy, "de");
    policy.pin("c");
    const before = stateOf(policy);
    expect(evict(policy, 4, "d")).toBeNull();
    const { numVisited } = policy;
    expect([evict(policy, 5), policy.numVisited]).toEqual([null, numVisited]); // Without a look, for four are idle.
    expect([stateOf(policy), policy.numIdle]).toEqual([before, 4]);
    expect(evict(policy, 3, "d")).toBe("bae");
    expect(stateOf(policy)).toBe("T1 c T2 d B1 ba B2 e target 0");
  });

  test("a batch is found in one walk over each list, however many chunks are in use", () => {
    const policy = makePolicy(400);
    const keys = (prefix: string) => Array.from({ length: 100 }, (_, i) => `${prefix}${i}`);
    for (const name of ["once", "busy", "again"]) {
      policy.insert(keys(name));
      for (const key of keys(name)) policy.markStored(key);
    }
    policy.touch(keys("again"));
    for (const key of keys("busy")) policy.pin(key);
    const victims = policy.evict(150, new Set());
    expect(victims).toEqual([...keys("once").toReversed(), ...keys("again").toReversed().slice(0, 50)]);
    expect(policy.numVisited).toBe(250);
  });
});

describe("ghosts", () => {
  test("a chunk of B1 that is touched raises the target by |B2| / |B1|, but by 1 at least and up to the capacity", () => {
    const policy = makePolicy(5, "abcde");
    touch(policy, "abc");
    evict(policy, 5);
    expect(stateOf(policy)).toBe("T1 - T2 - B1 ed B2 cba target 0");
    touch(policy, "e");
    expect(stateOf(policy)).toBe("T1 - T2 - B1 de B2 cba target 1.5");
    touch(policy, "ed");
    expect(policy.state.target).toBe(4.5);
    touch(policy, "e");
    expect(policy.state.target).toBe(5);
  });

  test("a chunk of B1 that is touched raises the target by 1 where B2 is smaller", () => {
    const policy = makePolicy(5, "abc");
    touch(policy, "a");
    evict(policy, 3);
    touch(policy, "b");
    expect(stateOf(policy)).toBe("T1 - T2 - B1 cb B2 a target 1");
  });

  test("a chunk of B2 that is touched lowers the target by |B1| / |B2|, but by 1 at least and down to 0", () => {
    const policy = makePolicy(5, "abcde");
    touch(policy, "ab");
    evict(policy, 5);
    for (let i = 0; i < 5; i++) touch(policy, "c");
    expect(stateOf(policy)).toBe("T1 - T2 - B1 edc B2 ba target 5");
    touch(policy, "b");
    expect(stateOf(policy)).toBe("T1 - T2 - B1 edc B2 ab target 3.5");
    touch(policy, "ab");
    expect(policy.state.target).toBe(0.5);
    touch(policy, "a");
    expect(policy.state.target).toBe(0);
  });

  test("a chunk of B2 that is touched lowers the target by 1 where B1 is smaller", () => {
    const policy = makePolicy(5, "abc");
    touch(policy, "ab");
    evict(policy, 3);
    for (let i = 0; i < 2; i++) touch(policy, "c");
    expect(policy.state.target).toBe(4);
    touch(policy, "a");
    expect(stateOf(policy)).toBe("T1 - T2 - B1 c B2 ba target 3");
  });

  test("a ghost that is stored again is in T1, and no ghost any more", () => {
    const policy = makePolicy(4, "abcd");
    touch(policy, "ab");
    evict(policy, 4);
    expect(stateOf(policy)).toBe("T1 - T2 - B1 dc B2 ba target 0");
    store(policy, "bd");
    expect(stateOf(policy)).toBe("T1 db T2 - B1 c B2 a target 0");
  });

  test("each list of ghosts holds as many as the tier, those evicted or touched last", () => {
    const policy = makePolicy(3, "abc");
    evict(policy, 3);
    touch(policy, "c");
    store(policy, "de");
    evict(policy, 2);
    expect(policy.state.b1).toEqual([..."ced"]);
    for (const keys of ["fgh", "i"]) {
      store(policy, keys);
      touch(policy, keys);
      evict(policy, keys.length);
    }
    expect(policy.state.b2).toEqual([..."gfi"]);
  });

  test("a tier that shrinks has fewer ghosts, and a lower target, from the next change on", () => {
    let capacity = 4;
    const policy = new ArcPolicy(() => capacity);
    store(policy, "abcd");
    evict(policy, 3);
    for (let i = 0; i < 4; i++) touch(policy, "b");
    expect(stateOf(policy)).toBe("T1 a T2 - B1 dcb B2 - target 4");
    capacity = 2;
    evict(policy, 1);
    touch(policy, "a");
    expect(stateOf(policy)).toBe("T1 - T2 - B1 ba B2 - target 2");
  });

  test("clear forgets chunks, ghosts and target", () => {
    const policy = makePolicy(4, "abcd");
    touch(policy, "ab");
    evict(policy, 3);
    touch(policy, "d");
    expect(stateOf(policy)).toBe("T1 - T2 a B1 cd B2 b target 1");
    policy.clear();
    expect(stateOf(policy)).toBe("T1 - T2 - B1 - B2 - target 0");
    expect([policy.size, policy.numIdle]).toEqual([0, 0]);
  });
});
