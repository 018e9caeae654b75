import { describe, expect, test } from "vitest";
import { makeOffloadPolicy } from "../offload/offload-policy";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, persist, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  describe("requests come and go while their chunks are read", () => {
    /** Prompt a is in storage only; two of its three chunks are being read for b, the third waits. */
    function reading(): OffloadDriver {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: { chunkBytes: 2 ** 22, maxReads: 1 } });
      persist(driver, "a", tokens(1, 13));
      driver.storageEndsAtOnce = false;
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      expect([driver.takeStorageOps(), driver.storageStats.numHeldSlots]).toEqual([["read a0>2 a1>1"], 3]);
      return driver;
    }

    test("aborted: what is not being read is given up at once, what is comes to RAM and is nobody's", () => {
      const driver = reading();
      driver.scheduler.abort("b");
      expect([driver.hostSlots, driver.scheduler.hasUnfinished]).toEqual([
        "30 free, 2 pending, 0 idle, 0 pinned",
        true,
      ]);
      driver.turn();
      driver.storage?.endAll();
      driver.turn();
      expect([driver.hostSlots, driver.scheduler.hasUnfinished]).toEqual([
        "30 free, 0 pending, 2 idle, 0 pinned",
        false,
      ]);
      expect([driver.lookup("a0", "a1", "a2"), driver.takeStorageOps()]).toEqual(["hit hit stored", []]);
    });

    test("aborted, but another waits for the same: it is read for that one", () => {
      const driver = reading();
      driver.add("c", [...tokens(1, 12), 7], { maxTokens: 1 });
      driver.turn();
      driver.scheduler.abort("b");
      driver.storage?.endAll();
      driver.turn();
      expect([driver.takeStorageOps(), driver.hostSlots]).toEqual([
        ["read a2>0"],
        "29 free, 1 pending, 0 idle, 2 pinned",
      ]);
      driver.storageEndsAtOnce = true;
      driver.storage?.endAll();
      expect(copies(driver.run())).toEqual(["load a0 -> 4 a1 -> 5 a2 -> 6"]);
    });

    test("what came is pinned for who asked until it is admitted: others cannot push it out of RAM", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, numSlots: 4, maxNumRunning: 1 });
      persist(driver, "a", tokens(1, 9));
      driver.storageEndsAtOnce = false;
      driver.add("b", tokens(1, 9), { maxTokens: 1 });
      driver.turn();
      driver.add("x", 13, { maxTokens: 8, priority: -1 });
      driver.turn();
      driver.storage?.endNext();
      // x has the only row, and four chunks in the end.
      driver.turns(5);
      expect(driver.hostSlots).toBe("0 free, 0 pending, 2 idle, 2 pinned");
      expect(driver.lookup("a0", "a1")).toBe("hit hit");
      driver.storageEndsAtOnce = true;
      const loads = copies(driver.run()).filter((each) => each.includes("load"));
      expect(loads).toHaveLength(1);
      expect(driver.storageStats.numPromotions).toBe(2);
    });

    test("and no longer than to its deadline", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, numSlots: 4, maxNumRunning: 1 });
      persist(driver, "a", tokens(1, 9));
      driver.storageEndsAtOnce = false;
      driver.add("b", tokens(1, 9), { maxTokens: 1 });
      driver.turn();
      driver.add("x", 13, { maxTokens: 8, priority: -1 });
      driver.turn();
      driver.storage?.endNext();
      driver.turns(2);
      expect([driver.storageStats.numHeldSlots, driver.scheduler.nextDeadlineMs]).toEqual([2, 2000]);
      driver.nowMs = 2000;
      driver.turns(1);
      expect([driver.storageStats.numHeldSlots, driver.scheduler.nextDeadlineMs]).toEqual([
        0,
        Number.POSITIVE_INFINITY,
      ]);
      driver.storageEndsAtOnce = true;
      driver.run();
    });
  });

  describe("clear in the middle", () => {
    test("of storage: what waits to be written is not, what is being written is refused, and requests go on", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: { maxChunksInFlight: 2 } });
      driver.storageEndsAtOnce = false;
      driver.add("a", tokens(1, 13), { maxTokens: 12 });
      while (driver.storage?.ops.length === 0) driver.turn();
      expect(driver.takeStorageOps()).toEqual(["write a0<0 a1<1"]);
      driver.scheduler.clearTiers(["storage"]);
      expect(driver.storageStats).toMatchObject({ numChunks: 0, bytesNotDurable: 4096 });
      driver.turn();
      expect(driver.takeStorageOps()).toEqual(["clear"]);
      // The write ends after the clear, as if it had been on its way to another thread.
      driver.storage?.end(2);
      driver.storage?.end(1);
      driver.turn();
      expect([driver.storage?.records.size, driver.storageStats.numChunks]).toEqual([0, 0]);
      // What is computed from now on is written. Chunks of before are, when somebody offers them again.
      driver.storageEndsAtOnce = true;
      driver.run();
      expect(driver.takeStorageOps().join()).not.toMatch(/a[012]</);
      expect(driver.lookup("a0", "a1", "a2", "a3")).toBe("hit hit hit hit");
      expect(driver.storage?.records.has(driver.keyOf("a3"))).toBe(true);
    });

    test("of storage, while a chunk is read: it comes for nobody, and who waits computes", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 9));
      driver.storageEndsAtOnce = false;
      driver.add("b", tokens(1, 9), { maxTokens: 1 });
      driver.turn();
      driver.scheduler.clearTiers(["storage"]);
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.9 /);
      expect(driver.takeStorageOps()).toEqual(["read a0>1 a1>0", "clear"]);
      driver.storage?.endAll();
      driver.storageEndsAtOnce = true;
      driver.run();
      expect(driver.storageStats).toMatchObject({ numPromoted: 0, numPromotionsFailed: 0, numHeldSlots: 0 });
      // b has computed and stored them since.
      expect(driver.lookup("a0", "a1")).toBe("hit hit");
    });

    test("of RAM, while a chunk is read: it is read anew", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 9));
      driver.storageEndsAtOnce = false;
      const request = driver.add("b", tokens(1, 9), { maxTokens: 1 });
      driver.turn();
      driver.scheduler.clearTiers(["host"]);
      driver.turn();
      expect(driver.takeStorageOps()).toEqual(["read a0>1 a1>0", "read a0>2 a1>3"]);
      driver.storageEndsAtOnce = true;
      driver.storage?.endAll();
      driver.run();
      expect([request.numStorageTokens, driver.hostSlots]).toEqual([8, "30 free, 0 pending, 2 idle, 0 pinned"]);
    });

    test("of RAM, after a chunk has come and before its request is admitted", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, maxNumRunning: 1 });
      persist(driver, "a", tokens(1, 9));
      driver.storageEndsAtOnce = false;
      const request = driver.add("b", tokens(1, 9), { maxTokens: 1 });
      driver.turn();
      driver.add("x", 5, { maxTokens: 4, priority: -1 });
      driver.turn();
      driver.storage?.endNext();
      driver.turn();
      expect(driver.storageStats.numHeldSlots).toBe(2);
      driver.scheduler.clearTiers(["host"]);
      expect(driver.storageStats.numHeldSlots).toBe(0);
      driver.storageEndsAtOnce = true;
      driver.run();
      expect(request.numStorageTokens).toBe(8);
    });

    test("of all: nothing is found any more, and an index of before is not believed", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 9));
      driver.storageEndsAtOnce = false;
      driver.scheduler.clearTiers();
      driver.scheduler.resetPrefixCache();
      driver.storage?.open();
      expect(driver.scheduler.hasUnfinished).toBe(true);
      driver.add("b", tokens(1, 9), { maxTokens: 1 });
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.9 /);
      driver.turns(2);
      // b's chunks wait for the clear to end.
      expect(driver.takeStorageOps()).toEqual(["clear"]);
      driver.storageEndsAtOnce = true;
      driver.storage?.endAll();
      driver.run();
      driver.turn();
      expect(driver.takeStorageOps()).toEqual(["write a0<1 a1<0"]);
      expect(driver.storageStats).toMatchObject({ numChunks: 2, bytes: 4096 });
    });

    test("in vain: nobody finds what is still there", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 9));
      driver.storage!.canClear = false;
      driver.scheduler.clearTiers(["storage"]);
      driver.turns(2);
      expect([driver.storage?.records.size, driver.lookup("a0", "a1"), driver.scheduler.hasUnfinished]).toEqual([
        2,
        "miss miss",
        false,
      ]);
    });
  });

  describe("opting out", () => {
    test.each([
      ["none", "miss miss", 0],
      ["ram", "hit hit", 0],
      ["all", "hit hit", 2],
    ] as const)("a request with store %s leaves %s in RAM, and %i chunks in storage", (store, states, numRecords) => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      driver.add("a", tokens(1, 9), { maxTokens: 2, store });
      driver.run();
      expect([driver.lookup("a0", "a1"), driver.storage?.records.size]).toEqual([states, numRecords]);
      expect(driver.scheduler.numCachedBlocks).toBe(2);
    });

    test.each(["none", "ram"] as const)(
      "what a request with store %s has computed is written when an ordinary one has it too",
      (store) => {
        const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
        driver.add("a", tokens(1, 13), { maxTokens: 2, store });
        driver.run();
        driver.add("b", [...tokens(1, 8), 7], { maxTokens: 1 });
        driver.run();
        expect(driver.storage?.records.size).toBe(2);
        expect([
          driver.storage?.records.has(driver.keyOf("a1")),
          driver.storage?.records.has(driver.keyOf("a2")),
        ]).toEqual([true, false]);
      },
    );

    test("an ordinary request that comes while a private one's chunk is on its way to RAM", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      driver.landsAtOnce = false;
      driver.add("a", tokens(1, 9), { maxTokens: 1, store: "ram" });
      driver.turns(3);
      driver.add("b", [...tokens(1, 8), 7], { maxTokens: 1 });
      driver.turns(3);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
      expect(driver.storage?.records.size).toBe(2);
    });

    test("it uses what the tiers have all the same", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
      persist(driver, "a", tokens(1, 9));
      const request = driver.add("b", tokens(1, 9), { maxTokens: 1, store: "none" });
      driver.run();
      expect(request.numStorageTokens).toBe(8);
    });

    test.each([
      ["none", "miss miss", 0],
      ["ram", "hit hit", 0],
      ["all", "hit hit", 2],
    ] as const)(
      "stored on eviction, chunks follow the request that made them whole: %s",
      (store, states, numRecords) => {
        const policy = makeOffloadPolicy("storeOnEvict");
        const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, policy, numBlocks: 5 });
        driver.add("a", tokens(1, 9), { maxTokens: 1, store });
        driver.run();
        driver.add("b", 15, { maxTokens: 1 });
        driver.run();
        expect([driver.lookup("a0", "a1"), driver.storage?.records.size]).toEqual([states, numRecords]);
      },
    );
  });

  test("chunks of a request whose numbers went wrong are found nowhere, nor written, until storage is cleared", () => {
    let isBroken = true;
    const sample = (id: string) => (id === "a" && isBroken ? null : 7);
    const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, sample, maxPrefillChunkTokens: 8 });
    driver.storageEndsAtOnce = false;
    driver.add("a", tokens(1, 17), { maxTokens: 2 });
    driver.turns(3);
    driver.storage?.endNext();
    driver.turns(5);
    driver.storage?.endAll();
    driver.turn();
    expect(driver.lookup("a0", "a1", "a2", "a3")).toBe("miss miss miss miss");
    isBroken = false;
    driver.storageEndsAtOnce = true;
    driver.takeStorageOps();
    offload(driver, "b", tokens(1, 17));
    expect([driver.takeStorageOps().filter((each) => each.startsWith("write")), driver.storageStats.numChunks]).toEqual(
      [[], 0],
    );
    driver.scheduler.clearTiers(["storage"]);
    driver.turns(2);
    driver.add("c", tokens(1, 17), { maxTokens: 1 });
    driver.run();
    expect(driver.storage?.records.size).toBe(4);
  });

  test("a head that is put off keeps its place: who read first is admitted first", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { storage: {}, maxNumRunning: 1 });
    persist(driver, "a", tokens(1, 9));
    persist(driver, "b", tokens(2, 9));
    driver.add("c", tokens(1, 9), { maxTokens: 1 });
    driver.add("d", tokens(2, 9), { maxTokens: 1 });
    const steps = work(driver.run()).map(([step]) => step[0]);
    expect(steps.filter(Boolean)).toEqual(["c", "d"]);
  });
});
