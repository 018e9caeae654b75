import { afterEach, describe, expect, test, vi } from "vitest";
import { HostTier } from "./host-tier.fixture";
import { LruPolicy } from "./lru-policy";

const POLICIES = ["lru", "arc"] as const;

afterEach(() => vi.restoreAllMocks());

describe("lru", () => {
  test("a store evicts what it needs and no more, keeps keys of its own call, and stores the rest", () => {
    const tier = new HostTier();
    expect(tier.store("ab")).toBe("a0 b1");
    tier.takeEvents();
    expect(tier.prepareStore("bcde")).toEqual(["c2 d3 e0", "b", ""]);
    tier.completeStore("cde");
    expect(tier.takeEvents()).toBe("evicted a, stored c, stored d, stored e");
    expect(tier.lookup("abcde")).toBe("miss hit hit hit hit");
    expect(tier.manager.stats.numEvictions).toBe(1);
  });

  test("while every slot is written or read there is no space; what was loaded is recent afterwards", () => {
    const tier = new HostTier();
    tier.store("ab");
    const slotIds = tier.prepareLoad("ab");
    tier.prepareStore("cd");
    expect(tier.prepareStore("ef")).toEqual(["", "", "ef"]);
    tier.completeStore("cd");
    tier.completeLoad(slotIds);
    expect(tier.prepareStore("ef")).toEqual(["e2 f3", "", ""]);
    expect(tier.lookup("abcd")).toBe("hit hit miss miss");
  });

  test("the order of touches decides who goes: what was not touched, then the prefix touched first, from its tail", () => {
    const tier = new HostTier();
    tier.store("ab");
    tier.store("cd");
    tier.manager.touch([..."cb"]);
    tier.manager.touch([..."d?"]);
    tier.takeEvents();
    tier.prepareStore("wxyz");
    expect(tier.takeEvents()).toBe("evicted a, evicted b, evicted c, evicted d");
  });

  test("a prefix that was stored in one call loses its tail before its head", () => {
    const tier = new HostTier();
    tier.store("abcd");
    tier.prepareStore("xy");
    expect(tier.lookup("abcd")).toBe("hit hit miss miss");
  });

  test("a lookup does not make a chunk recent", () => {
    const tier = new HostTier();
    for (const key of "abcd") tier.store(key);
    tier.lookup("a");
    tier.prepareStore("x");
    expect(tier.lookup("abcd")).toBe("miss hit hit hit");
  });
});

describe.each(POLICIES)("%s", (evictionPolicy) => {
  test("a chunk that is here already is not evicted for others of the same call", () => {
    const tier = new HostTier({ evictionPolicy, numSlots: 3 });
    for (const key of "abc") tier.store(key);
    expect(tier.prepareStore("adbe")).toEqual(["d2", "ab", "e"]);
    expect(tier.lookup("abcde")).toBe("hit hit miss pending miss");
  });

  test("where all idle chunks are of the same call, the rest is refused, and nothing is evicted", () => {
    const tier = new HostTier({ evictionPolicy, numSlots: 2 });
    tier.store("ab");
    expect(tier.prepareStore("abc")).toEqual(["", "ab", "c"]);
    expect([tier.lookup("ab"), tier.manager.stats.numEvictions]).toEqual(["hit hit", 0]);
  });

  test("the longest leading part that fits is stored", () => {
    const tier = new HostTier({ evictionPolicy });
    tier.store("ab");
    tier.prepareLoad("a");
    expect(tier.prepareStore("uvwxy")).toEqual(["u2 v3 w1", "", "xy"]);
    expect(tier.lookup("ab")).toBe("hit miss");
    expect(tier.manager.stats).toMatchObject({ numRefusedNoSlot: 2, numRefusedUnseen: 0, numEvictions: 1 });
  });

  test("what was evicted is an event before what takes its slot", () => {
    const tier = new HostTier({ evictionPolicy, numSlots: 2 });
    tier.store("ab");
    tier.store("cd");
    expect(tier.takeEvents()).toBe("stored a, stored b, evicted b, evicted a, stored c, stored d");
  });

  test("a chunk that is read is not evicted; when its reader has left, it goes after what was idle", () => {
    const tier = new HostTier({ evictionPolicy, numSlots: 3 });
    for (const key of "abc") tier.store(key);
    const slotIds = tier.prepareLoad("a");
    expect(tier.store("d")).toBe("d1");
    tier.completeLoad(slotIds);
    expect(tier.store("ef")).toBe("e1 f2");
    expect(tier.lookup("abcdef")).toBe("hit miss miss miss hit hit");
  });

  test("slots that can be had, through pins by two readers, a failed store, a refusal and a clear", () => {
    const tier = new HostTier({ evictionPolicy });
    expect(tier.slots).toEqual([4, 0, 0, 0]);
    tier.prepareStore("abc");
    expect(tier.slots).toEqual([1, 3, 0, 0]);
    tier.completeStore("ab");
    tier.completeStore("c", false);
    expect(tier.slots).toEqual([2, 0, 2, 0]);
    const first = tier.prepareLoad("ab");
    const second = tier.prepareLoad("a");
    expect(tier.slots).toEqual([2, 0, 0, 2]);
    tier.completeLoad(first);
    expect(tier.slots).toEqual([2, 0, 1, 1]);
    expect(tier.prepareStore("wxyz")).toEqual(["w2 x3 y1", "", "z"]);
    expect(tier.slots).toEqual([0, 3, 0, 1]);
    tier.completeLoad(second);
    expect(tier.slots).toEqual([0, 3, 1, 0]);
    tier.manager.clear();
    expect(tier.slots).toEqual([1, 3, 0, 0]);
    tier.completeStore("wxy");
    expect(tier.slots).toEqual([4, 0, 0, 0]);
  });
});

test("where nothing can be evicted, the policy is not asked", () => {
  const evict = vi.spyOn(LruPolicy.prototype, "evict");
  const tier = new HostTier({ numSlots: 2 });
  tier.store("a");
  tier.prepareLoad("a");
  tier.prepareStore("b");
  expect(tier.prepareStore("cd")).toEqual(["", "", "cd"]);
  expect(evict).not.toHaveBeenCalled();
});

test("arc: chunks that come back survive a long prompt that does not; under lru they are lost", () => {
  const survivors = POLICIES.map((evictionPolicy) => {
    const tier = new HostTier({ evictionPolicy });
    tier.store("ab");
    tier.manager.touch([..."ab"]);
    for (const key of "stuvwxyz") tier.store(key);
    return tier.lookup("ab");
  });
  expect(survivors).toEqual(["miss miss", "hit hit"]);
});

test("arc: a tier that adapts, through ghosts, pins, a touch of what is being written and a failed store", () => {
  const tier = new HostTier({ evictionPolicy: "arc" });
  tier.store("abcd");
  tier.manager.touch([..."ab"]); // T1 dc, T2 ba
  tier.takeEvents();
  expect(tier.store("ef")).toBe("e2 f3"); // T1 fe, T2 ba, B1 dc
  expect(tier.takeEvents()).toBe("evicted d, evicted c, stored e, stored f");
  tier.manager.touch([..."cd"]); // target 2
  const slotIds = tier.prepareLoad("b");
  expect(tier.prepareStore("cg")).toEqual(["c0 g3", "", ""]); // T1 egc, T2 b, B1 df, B2 a
  expect(tier.takeEvents()).toBe("evicted f, evicted a");
  tier.manager.touch([..."ca"]); // c stays in T1; target 0
  tier.completeStore("c");
  tier.completeStore("g", false);
  tier.completeLoad(slotIds);
  expect(tier.prepareStore("xy")).toEqual(["x3 y2", "", ""]);
  expect([tier.takeEvents(), tier.slots]).toEqual(["stored c, evicted e", [0, 2, 2, 0]]);
  tier.completeStore("xy");
  expect(tier.store("z")).toBe("z0");
  expect(tier.lookup("abcdefgxyz")).toBe("miss hit miss miss miss miss miss hit hit hit");
});
