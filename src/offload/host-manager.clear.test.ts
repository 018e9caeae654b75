import { describe, expect, test } from "vitest";
import { HostTier } from "./host-tier.fixture";

describe("clear", () => {
  test("forgets every chunk at once; idle slots are free, the others when their last job is over", () => {
    const tier = new HostTier({ numSlots: 5 });
    tier.store("abc");
    tier.prepareStore("d");
    const slotIds = [...tier.prepareLoad("bc"), ...tier.prepareLoad("c")];
    tier.takeEvents();
    tier.manager.clear();
    expect(tier.lookup("abcd")).toBe("miss miss miss miss");
    expect(tier.slots).toEqual([2, 1, 0, 2]);
    tier.completeSlot(3);
    expect([tier.lookup("d"), tier.slots]).toEqual(["miss", [3, 0, 0, 2]]);
    tier.completeLoad(slotIds.slice(0, 2));
    expect(tier.slots).toEqual([4, 0, 0, 1]);
    tier.completeLoad(slotIds.slice(2));
    expect(tier.slots).toEqual([5, 0, 0, 0]);
    expect(tier.takeEvents()).toBe("evicted a, evicted b, evicted c");
    expect(tier.manager.stats.numEvictions).toBe(0);
  });

  test("a key whose slot is still written or read is stored again in another one, which the old job leaves alone", () => {
    const tier = new HostTier();
    tier.store("a");
    const slotIds = tier.prepareLoad("a");
    tier.prepareStore("b");
    tier.manager.clear();
    expect(tier.prepareStore("ab")).toEqual(["a2 b3", "", ""]);
    tier.completeSlot(1, true);
    tier.completeLoad(slotIds);
    expect([tier.lookup("ab"), tier.slots]).toEqual(["pending pending", [2, 2, 0, 0]]);
    tier.completeSlot(2);
    tier.completeSlot(3, false);
    expect([tier.lookup("ab"), tier.slots]).toEqual(["hit miss", [3, 0, 1, 0]]);
  });

  test("what was evicted before does not count as asked for again; what was sighted still counts", () => {
    const tier = new HostTier({ numSlots: 1, storeThreshold: 2 });
    for (let i = 0; i < 2; i++) tier.manager.sight([..."ab"]);
    tier.store("a");
    tier.store("b");
    tier.manager.clear();
    expect([tier.lookup("a"), tier.store("a")]).toEqual(["miss", "a0"]);
    expect(tier.manager.stats).toMatchObject({ numEvictions: 1, numReusedAfterEviction: 0 });
  });

  test("arc forgets its ghosts and its target too", () => {
    const tier = new HostTier({ evictionPolicy: "arc", numSlots: 2 });
    tier.store("ab");
    tier.store("cd");
    tier.manager.touch([..."ab"]);
    tier.manager.clear();
    tier.store("x");
    tier.manager.touch(["x"]);
    tier.store("y");
    tier.store("z");
    expect(tier.lookup("xyz")).toBe("hit miss hit");
  });
});

describe("discard", () => {
  test("forgets the chunks it names, whatever their slots are used for, and no others", () => {
    const tier = new HostTier();
    tier.store("abc");
    tier.prepareStore("d");
    const slotIds = tier.prepareLoad("b");
    tier.takeEvents();
    tier.manager.discard([..."abd?"]);
    expect([tier.lookup("abcd"), tier.slots]).toEqual(["miss miss hit miss", [1, 1, 1, 1]]);
    tier.completeLoad(slotIds);
    tier.completeSlot(3);
    expect([tier.lookup("abcd"), tier.slots]).toEqual(["miss miss hit miss", [3, 0, 1, 0]]);
    expect(tier.takeEvents()).toBe("evicted a, evicted b");
    expect(tier.manager.stats).toMatchObject({ numEvictions: 0, numReusedAfterEviction: 0 });
  });
});

describe("the store epoch", () => {
  /** How it changed in each of these, which come one after the other. */
  function changes(tier: HostTier, ...actions: (() => void)[]): number[] {
    return actions.map((action) => {
      const before = tier.manager.storeEpoch;
      action();
      return tier.manager.storeEpoch - before;
    });
  }

  test("stays while nothing was refused", () => {
    const tier = new HostTier({ storeThreshold: 2 });
    const sight = () => tier.manager.sight([..."ab"]);
    const life = () => {
      tier.store("ab");
      tier.completeLoad(tier.prepareLoad("ab"));
      tier.prepareStore("c");
      tier.manager.clear();
    };
    expect(changes(tier, sight, sight, life)).toEqual([0, 0, 0]);
  });

  test("changes when a slot can be had again, once until something is refused again", () => {
    const tier = new HostTier({ numSlots: 2 });
    const slotIds: number[] = [];
    const refuse = () => expect(tier.prepareStore("xyz")[2]).not.toBe("");
    const steps = changes(
      tier,
      () => tier.prepareStore("ab"),
      refuse,
      () => tier.completeStore("a"), // now idle
      () => tier.completeStore("b"),
      () => slotIds.push(...tier.prepareLoad("ab"), ...tier.prepareLoad("b")),
      refuse,
      () => tier.completeLoad(slotIds.slice(1, 2)), // b has another reader
      () => tier.completeLoad(slotIds.slice(0, 1)), // a is idle
      () => tier.prepareStore("c"),
      refuse,
      () => tier.completeStore("c", false), // free
      () => tier.completeLoad(slotIds.slice(2)),
    );
    expect(steps).toEqual([0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0]);
  });

  test("changes when chunks are cleared or discarded that held the slots: at once, or with their last job", () => {
    const tier = new HostTier({ numSlots: 2 });
    const refuse = () => tier.prepareStore("abc");
    const slotIds: number[] = [];
    tier.store("ab");
    const steps = changes(
      tier,
      refuse,
      () => tier.manager.discard(["a"]),
      () => tier.store("a"),
      refuse,
      () => slotIds.push(...tier.prepareLoad("ab")),
      () => tier.manager.clear(),
      () => tier.completeLoad(slotIds),
    );
    expect(steps).toEqual([0, 1, 0, 0, 0, 0, 1]);
  });

  test("changes when a chunk that is not here was seen often enough, if one was refused for that", () => {
    const tier = new HostTier({ storeThreshold: 2 });
    const sight = (keys: string) => () => tier.manager.sight([...keys]);
    const steps = changes(
      tier,
      () => tier.prepareStore("ab"),
      sight("ab"),
      sight("a"),
      sight("b"),
      () => tier.store("ab"),
      () => tier.prepareStore("c"),
      sight("ab"),
      sight("c"),
      () => tier.prepareStore("d"),
      sight("c"),
    );
    expect(steps).toEqual([0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
  });

  test("stays when what was seen often enough is here already", () => {
    const tier = new HostTier({ storeThreshold: 2, maxTrackedKeys: 2 });
    const sight = (keys: string) => () => tier.manager.sight([...keys]);
    for (let i = 0; i < 2; i++) sight("a")();
    tier.store("a");
    sight("bc")(); // The count of a starts again.
    tier.prepareStore("b");
    expect(changes(tier, sight("a"), sight("a"), sight("b"))).toEqual([0, 0, 1]);
  });

  test("a slot that can be had helps no chunk that was not seen often enough, and a sighting none without a slot", () => {
    const tier = new HostTier({ numSlots: 1, storeThreshold: 2 });
    for (let i = 0; i < 2; i++) tier.manager.sight([..."ab"]);
    tier.manager.sight(["c"]);
    const steps = changes(
      tier,
      () => tier.prepareStore("ac"),
      () => tier.completeStore("a"),
      () => tier.manager.sight(["c"]),
      () => tier.prepareStore("b"),
      () => tier.prepareStore("a"),
      () => tier.manager.sight(["d"]),
      () => tier.manager.sight(["d"]),
      () => tier.completeStore("b"),
    );
    expect(steps).toEqual([0, 0, 1, 0, 0, 0, 0, 1]);
  });
});
