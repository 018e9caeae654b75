import { describe, expect, test } from "vitest";
import { makeOffloadPolicy } from "../offload/offload-policy";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("copies under way, $name", ({ maxInFlightSteps }) => {
  test("a load that gives way to who runs leaves no slot pinned when its copies have ended", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 8 });
    offload(driver, "a", tokens(1, 13), { maxTokens: 2 });
    driver.add("r", 6, { maxTokens: 14 });
    driver.turn();
    driver.landsAtOnce = false;
    const request = driver.add("b", tokens(1, 13), { maxTokens: 2 });
    driver.turns(10);
    expect([request.status, driver.freeBlockIds]).toEqual(["loading", ""]);
    // r needs a fifth block. Its copies are under way: the slots that they read stay as they are.
    driver.turn();
    expect([request.status, request.numRevocations, driver.freeBlockIds]).toEqual(["waiting", 1, "7,3"]);
    expect(driver.hostSlots).toBe("25 free, 4 pending, 0 idle, 3 pinned");
    driver.landAll();
    expect(driver.hostSlots).toBe("25 free, 0 pending, 7 idle, 0 pinned");
    driver.landsAtOnce = true;
    expect(copies(driver.run())).toEqual(["load a0 -> 6 a1 -> 7 a2 -> 3"]);
    expect(request.outputTokenIds).toEqual([513, 514]);
    expect(driver.hostSlots).toBe("25 free, 0 pending, 7 idle, 0 pinned");
  });

  test("finish with stores in flight: blocks are free at once, and nothing is left to be cleaned up", () => {
    const driver = new OffloadDriver(maxInFlightSteps);
    driver.landsAtOnce = false;
    driver.add("a", tokens(1, 13), { maxTokens: 3 });
    driver.turns(4);
    expect(driver.freeBlockIds).toBe("4,5,6,7,8,9,10,11,12,13,14,15,16,3,2,1");
    expect([driver.scheduler.numBlocksOnlyLeased, driver.scheduler.hasUnfinished]).toEqual([0, true]);
    // All of them are handed out and written, while what they held is still on its way.
    driver.add("b", 64, { maxTokens: 1, usePrefixCache: false });
    driver.turns(3);
    driver.landAll();
    expect([driver.lookup("a0", "a1", "a2"), driver.scheduler.hasUnfinished]).toEqual(["hit hit hit", false]);
    const request = driver.add("c", tokens(1, 13), { maxTokens: 1 });
    driver.landsAtOnce = true;
    driver.run();
    expect(request.numExternalTokens).toBe(12);
  });

  test.each(["abort", "stop"] as const)(
    "finish with reason %s while it loads: blocks are free at once, slots when the copies have ended",
    (reason) => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 9 });
      offload(driver, "a", tokens(1, 13), { maxTokens: 2 });
      driver.landsAtOnce = false;
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(driver.turn()[1]).toBe("load a0 -> 4 a1 -> 5 a2 -> 6");
      driver.scheduler.finish("b", reason);
      expect(driver.scheduler.freeBlockIds.slice(0, 5)).toEqual([4, 5, 6, 7, 8]);
      expect([driver.hostSlots, driver.scheduler.hasUnfinished]).toEqual([
        "29 free, 0 pending, 0 idle, 3 pinned",
        true,
      ]);
      // The copies are ahead of what the next one writes to the same blocks.
      driver.add("c", 10, { maxTokens: 1, usePrefixCache: false });
      expect(driver.turn()[0]).toBe("c@0 0..10 0:[4,5,6] samples");
      driver.landAll();
      expect(driver.hostSlots).toBe("29 free, 0 pending, 3 idle, 0 pinned");
      driver.run();
    },
  );

  describe("between a lookup and its use", () => {
    test("they are one: what a load reads is pinned from its admission on, and stores of others are refused", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numSlots: 3, numBlocks: 13 });
      offload(driver, "a", tokens(1, 13));
      driver.add("r", 3, { maxTokens: 9 });
      driver.turn();
      driver.landsAtOnce = false;
      const request = driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(copies(driver.turns(7))).toEqual(["load a0 -> 5 a1 -> 6 a2 -> 7"]);
      expect([driver.lookup("a0", "a1", "a2"), driver.hostSlots]).toEqual([
        "hit hit hit",
        "0 free, 0 pending, 0 idle, 3 pinned",
      ]);
      expect(driver.connector.stats.host.numRefusedNoSlot).toBe(2);
      // Refused chunks are offered again when the slots can be had.
      driver.landAll();
      expect(driver.turn()[1]).toBe("store r0 <- 4, store r1 <- 8");
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
      expect(request.numExternalTokens).toBe(12);
    });

    test("who found chunks, but no room, looks again: what was evicted meanwhile is computed", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numSlots: 3, numBlocks: 9 });
      offload(driver, "a", tokens(1, 13));
      driver.add("r", 15, { maxTokens: 9, usePrefixCache: false });
      driver.add("s", 1, { maxTokens: 6 });
      driver.turn();
      const request = driver.add("b", tokens(1, 13), { maxTokens: 1 });
      // 3 blocks to load and one to compute, but others need what is free; s stores its first chunk in the meantime.
      driver.turns(5);
      expect([request.status, driver.lookup("a0", "a1", "a2", "s0")]).toEqual(["waiting", "hit hit miss hit"]);
      driver.run();
      expect([request.numCachedTokens, request.numExternalTokens, request.outputTokenIds]).toEqual([8, 8, [513]]);
    });
  });

  describe("a reset with copies under way is never refused", () => {
    test("storeOnCompute: stores that wait are dropped with their leases, those in flight are void", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numStagingSlots: 1 });
      driver.landsAtOnce = false;
      driver.add("a", tokens(1, 13), { maxTokens: 2 });
      driver.turns(4);
      expect([driver.lookup("a0", "a1", "a2"), driver.freeBlockIds]).toEqual([
        "pending pending pending",
        "4,5,6,7,8,9,10,11,12,13,14,15,16,1",
      ]);
      driver.scheduler.clearTiers();
      driver.scheduler.resetPrefixCache();
      expect([driver.lookup("a0", "a1", "a2"), driver.freeBlockIds]).toEqual([
        "miss miss miss",
        "4,5,6,7,8,9,10,11,12,13,14,15,16,1,3,2",
      ]);
      // One copy is still under way: its slot comes free with it.
      expect([driver.hostSlots, driver.scheduler.hasUnfinished]).toEqual([
        "31 free, 1 pending, 0 idle, 0 pinned",
        true,
      ]);
      driver.landAll();
      expect([driver.hostSlots, driver.scheduler.hasUnfinished]).toEqual([
        "32 free, 0 pending, 0 idle, 0 pinned",
        false,
      ]);
      expect(driver.lookup("a0", "a1", "a2")).toBe("miss miss miss");
      driver.landsAtOnce = true;
      driver.add("b", tokens(1, 13), { maxTokens: 2 });
      expect(copies(driver.run())).toEqual(["store a0 <- 4", "store a1 <- 5", "store a2 <- 6"]);
    });

    test("storeOnEvict: what was copied at the last moment is void too", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 4, policy: makeOffloadPolicy("storeOnEvict") });
      driver.add("a", tokens(1, 9), { maxTokens: 1 });
      driver.run();
      driver.landsAtOnce = false;
      driver.add("b", 9, { maxTokens: 1 });
      expect(driver.turns(2)[0][1]).toBe("store a1 <- 2, store a0 <- 1");
      driver.scheduler.clearTiers();
      driver.scheduler.resetPrefixCache();
      driver.landAll();
      expect([driver.lookup("a0", "a1"), driver.hostSlots]).toEqual([
        "miss miss",
        "32 free, 0 pending, 0 idle, 0 pinned",
      ]);
    });

    test("a load goes on to its end: its slots come free then, and its chunks are stored anew", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { maxBlocksPerStep: 6 });
      offload(driver, "a", tokens(1, 25), { maxTokens: 2 });
      driver.landsAtOnce = false;
      const request = driver.add("b", tokens(1, 29), { maxTokens: 2 });
      driver.turn();
      driver.scheduler.clearTiers();
      driver.scheduler.resetPrefixCache();
      expect([driver.lookup("a0", "a5"), driver.hostSlots]).toEqual([
        "miss miss",
        "26 free, 0 pending, 0 idle, 6 pinned",
      ]);
      // Others find nothing, but wait for what comes to the GPU anyway.
      const peer = driver.add("c", [...tokens(1, 24), 5], { maxTokens: 1 });
      expect([driver.turn(), driver.scheduler.numDeferred]).toEqual([["", "", "", driver.freeBlockIds], 1]);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
      expect([request.numExternalTokens, peer.numExternalTokens, peer.numCachedTokens]).toEqual([24, 0, 24]);
      expect(driver.lookup("a0", "a5", "b6")).toBe("hit hit hit");
      expect(driver.hostSlots).toBe("25 free, 0 pending, 7 idle, 0 pinned");
    });
  });
});
