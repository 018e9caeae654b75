import { afterEach, describe, expect, test, vi } from "vitest";
import { HostManager } from "./host-manager";
import { HostTier } from "./host-tier.fixture";
import { LruPolicy } from "./lru-policy";
import { SlotTable } from "./slot-table";

afterEach(() => vi.restoreAllMocks());

describe("two phases of a store", () => {
  test("a chunk is pending until its store is complete, then a hit; only then is it an event", () => {
    const tier = new HostTier();
    expect(tier.prepareStore("ab")).toEqual(["a0 b1", "", ""]);
    expect([tier.lookup("abc"), tier.takeEvents()]).toEqual(["pending pending miss", ""]);
    tier.completeStore("b");
    expect([tier.lookup("abc"), tier.takeEvents()]).toEqual(["pending hit miss", "stored b"]);
    tier.completeStore("a");
    expect([tier.lookup("ab"), tier.takeEvents(), tier.takeEvents()]).toEqual(["hit hit", "stored a", ""]);
  });

  test("keys that are here, or on their way, are present and get no second slot", () => {
    const tier = new HostTier();
    tier.store("a");
    tier.prepareStore("b");
    expect(tier.prepareStore("abc")).toEqual(["c2", "ab", ""]);
    expect(tier.prepareStore("dd")).toEqual(["d3", "", ""]);
    expect(tier.prepareStore("aba")).toEqual(["", "ab", ""]);
    expect(tier.prepareStore("")).toEqual(["", "", ""]);
    expect(tier.slots).toEqual([0, 3, 1, 0]);
  });

  test("a failed store is never seen: its slot is free, and chunks that were readable stay", () => {
    const tier = new HostTier();
    tier.store("ab");
    tier.takeEvents();
    tier.prepareStore("bc");
    tier.completeStore("c", false);
    expect([tier.lookup("abc"), tier.takeEvents()]).toEqual(["hit hit miss", ""]);
    expect(tier.slots).toEqual([2, 0, 2, 0]);
    expect(tier.store("cd")).toBe("c2 d3");
    expect(tier.lookup("cd")).toBe("hit hit");
  });

  test("a slot whose store is complete is nobody's to complete", () => {
    const tier = new HostTier();
    tier.store("a");
    const { manager } = tier;
    expect(() => manager.completeStore(0, true)).toThrow("slot 0 is idle: nobody writes to it");
    expect(() => manager.completeStore(3, true)).toThrow("there is no slot 3: 1 of 4 were ever in use");
  });
});

describe("loads", () => {
  test.each(["abcd", "dcba", "bdac", "cabd"])("slots come in the order of the keys: %s", (keys) => {
    const tier = new HostTier();
    tier.store("abcd");
    expect(tier.prepareLoad(keys)).toEqual(Array.from(keys, (key) => "abcd".indexOf(key)));
  });

  test("a chunk is pinned until the last of its readers has left, and a hit all the while", () => {
    const tier = new HostTier();
    tier.store("ab");
    const first = tier.prepareLoad("ab");
    const second = tier.prepareLoad("b");
    expect([tier.slots, tier.lookup("ab")]).toEqual([[2, 0, 0, 2], "hit hit"]);
    tier.completeLoad(first);
    expect(tier.slots).toEqual([2, 0, 1, 1]);
    tier.completeLoad(second);
    expect(tier.slots).toEqual([2, 0, 2, 0]);
    expect(() => tier.manager.completeLoad([1])).toThrow("slot 1 is idle: nobody reads it");
  });

  test("a reader that comes back while another stays counts afresh", () => {
    const tier = new HostTier();
    tier.store("a");
    const slotIds = tier.prepareLoad("aa");
    tier.completeLoad([slotIds[0]]);
    tier.completeLoad(tier.prepareLoad("a"));
    expect(tier.slots).toEqual([3, 0, 0, 1]);
  });

  test("only what is readable can be loaded; a refused load pins nothing", () => {
    const tier = new HostTier();
    tier.store("a");
    tier.prepareStore("b");
    expect(() => tier.manager.prepareLoad(["a", "b"])).toThrow("chunk b cannot be loaded: it is a pending");
    expect(() => tier.manager.prepareLoad(["a", "c"])).toThrow("chunk c cannot be loaded: it is a miss");
    expect(tier.slots).toEqual([2, 1, 1, 0]);
  });
});

describe("the memory of slots", () => {
  test("is asked for when a slot is first used, in order, and never again", () => {
    const reserved: number[] = [];
    const tier = new HostTier({ numSlots: 3, reserveSlot: (slotId) => reserved.push(slotId) > 0 });
    expect(reserved).toEqual([]);
    tier.store("ab");
    expect([reserved, tier.slots]).toEqual([
      [0, 1],
      [1, 0, 2, 0],
    ]);
    tier.store("cde");
    tier.manager.clear();
    expect([reserved, tier.store("xyz"), tier.slots]).toEqual([[0, 1, 2], "x1 y0 z2", [0, 0, 3, 0]]);
  });

  test("where it runs out, the tier is as large as it is, and goes on with eviction", () => {
    const tier = new HostTier({ reserveSlot: (slotId) => slotId < 2 });
    expect(tier.manager.stats.numSlots).toBe(4);
    expect(tier.prepareStore("abc")).toEqual(["a0 b1", "", "c"]);
    expect([tier.manager.stats.numSlots, tier.slots]).toEqual([2, [0, 2, 0, 0]]);
    tier.completeStore("ab");
    expect(tier.store("c")).toBe("c1");
    expect([tier.lookup("abc"), tier.takeEvents()]).toEqual([
      "hit miss hit",
      "stored a, stored b, evicted b, stored c",
    ]);
  });

  test("where there is none at all, every store is refused", () => {
    const tier = new HostTier({ reserveSlot: () => false });
    expect(tier.prepareStore("ab")).toEqual(["", "", "ab"]);
    expect([tier.manager.stats.numSlots, tier.slots]).toEqual([0, [0, 0, 0, 0]]);
  });
});

describe("the reuse filter", () => {
  test("a chunk is stored from its second sighting on; a count resets when it was evicted from the tracker of 3", () => {
    const tier = new HostTier({ storeThreshold: 2, maxTrackedKeys: 3 });
    tier.manager.sight([..."abc"]);
    expect(tier.prepareStore("abc")).toEqual(["", "", "abc"]);
    tier.manager.sight([..."ab"]);
    expect(tier.prepareStore("abc")).toEqual(["a0 b1", "", "c"]);
    tier.manager.sight(["d"]);
    tier.manager.sight(["c"]);
    expect(tier.prepareStore("c")).toEqual(["", "", "c"]);
    tier.manager.sight(["c"]);
    expect(tier.prepareStore("c")).toEqual(["c2", "", ""]);
  });

  test("a chunk that was not seen often enough takes no slot, and is in nobody's way", () => {
    const tier = new HostTier({ numSlots: 2, storeThreshold: 2 });
    for (let i = 0; i < 2; i++) tier.manager.sight([..."bcd"]);
    expect(tier.prepareStore("abxcd")).toEqual(["b0 c1", "", "axd"]);
    expect(tier.manager.stats).toMatchObject({ numRefusedUnseen: 2, numRefusedNoSlot: 1 });
  });

  test("what is here stays here, whatever its count", () => {
    const tier = new HostTier({ storeThreshold: 2, maxTrackedKeys: 1 });
    for (let i = 0; i < 2; i++) tier.manager.sight(["a"]);
    tier.store("a");
    tier.manager.sight(["b"]);
    expect([tier.lookup("a"), tier.prepareStore("a")]).toEqual(["hit", ["", "a", ""]]);
  });

  test.each([0, 1])("a threshold of %i lets everything through, sighted or not", (storeThreshold) => {
    expect(new HostTier({ storeThreshold }).prepareStore("ab")).toEqual(["a0 b1", "", ""]);
  });

  test("a prompt of k chunks that comes twice makes all k eligible", () => {
    const tier = new HostTier({ storeThreshold: 2 });
    for (let i = 0; i < 2; i++) {
      tier.manager.sight([..."abcd"]);
      tier.lookup("a");
    }
    expect(tier.prepareStore("abcd")).toEqual(["a0 b1 c2 d3", "", ""]);
  });
});

test("how soon what was evicted is asked for again: once an eviction, by lookup or store", () => {
  const tier = new HostTier({ numSlots: 2 });
  tier.store("ab");
  tier.nowMs = 10;
  tier.store("cd");
  tier.nowMs = 14;
  expect(tier.lookup("abab")).toBe("miss miss miss miss");
  expect(tier.manager.stats).toMatchObject({ numEvictions: 2, numReusedAfterEviction: 2, sumEvictToReuseMs: 8 });
  tier.store("a");
  tier.nowMs = 20;
  tier.lookup("xcd");
  expect(tier.manager.stats).toMatchObject({ numEvictions: 3, numReusedAfterEviction: 3, sumEvictToReuseMs: 14 });
  tier.store("x");
  const [gone] = tier.manager.takeEvents().slice(-2);
  tier.nowMs = 25;
  expect(gone).toEqual({ kind: "evicted", key: "c" });
  tier.store("c");
  expect(tier.manager.stats).toMatchObject({ numEvictions: 5, numReusedAfterEviction: 4, sumEvictToReuseMs: 19 });
});

describe("checkIntegrity finds, with the numbers", () => {
  function makeManager(): HostManager {
    const manager = new HostManager({
      numSlots: 4,
      evictionPolicy: "lru",
      storeThreshold: 0,
      reserveSlot: () => true,
      now: () => 0,
    });
    const { accepted } = manager.prepareStore([..."abc"]);
    for (const { slotId } of accepted.slice(1)) manager.completeStore(slotId, true);
    manager.prepareLoad(["b", "b"]);
    manager.checkIntegrity({ numPending: 1, numReaders: 2 });
    return manager;
  }
  const counted = '{"numChunks":3,"numPending":1,"numReaders":2}';

  test.each([
    { name: "a store that has no slot", numPending: 2, numReaders: 2 },
    { name: "a slot that no store writes to", numPending: 0, numReaders: 2 },
    { name: "a reader that was forgotten", numPending: 1, numReaders: 1 },
    { name: "a load that has no pin", numPending: 1, numReaders: 3 },
  ])("$name", ({ numPending, numReaders }) => {
    const message = `slots have ${counted}, not ${JSON.stringify({ numChunks: 3, numPending, numReaders })}`;
    expect(() => makeManager().checkIntegrity({ numPending, numReaders })).toThrow(
      expect.objectContaining({ code: "internal", message }),
    );
  });

  test("a slot that does not hold its chunk", () => {
    const manager = makeManager();
    vi.spyOn(SlotTable.prototype, "at").mockReturnValue({ state: "idle", key: "b" });
    expect(() => manager.checkIntegrity({ numPending: 1, numReaders: 2 })).toThrow(
      'slot 0 should hold chunk a: {"state":"idle","key":"b"}',
    );
  });

  test("a chunk that eviction does not know, or takes for idle", () => {
    const manager = makeManager();
    const numIdle = vi.spyOn(LruPolicy.prototype, "numIdle", "get").mockReturnValue(2);
    const check = () => manager.checkIntegrity({ numPending: 1, numReaders: 2 });
    expect(check).toThrow("eviction sees 3 chunks, 2 idle, of 3, 1 idle");
    numIdle.mockRestore();
    vi.spyOn(LruPolicy.prototype, "size", "get").mockReturnValue(2);
    expect(check).toThrow("eviction sees 2 chunks, 1 idle, of 3, 1 idle");
  });
});
