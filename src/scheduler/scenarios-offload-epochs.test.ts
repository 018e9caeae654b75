import { describe, expect, test } from "vitest";
import { OffloadDriver, type OffloadDriverOptions } from "./offload-driver.fixture";
import { copies, offload, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

/** What may happen in the step in which a copy ends. */
const EVENTS: readonly { readonly name: string; readonly happen: (driver: OffloadDriver) => void }[] = [
  { name: "the one that loads is aborted", happen: ({ scheduler }) => void scheduler.abort("b") },
  { name: "the one that stores is aborted", happen: ({ scheduler }) => void scheduler.abort("r") },
  { name: "the one that stores ends by a stop string", happen: ({ scheduler }) => void scheduler.finish("r", "stop") },
  { name: "the prefix cache is reset", happen: ({ scheduler }) => scheduler.resetPrefixCache() },
  { name: "the tiers are cleared", happen: ({ scheduler }) => scheduler.clearTiers() },
  { name: "the device is lost", happen: (driver) => driver.loseDevice() },
];
const NUM_TURNS = 9;

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  /** A prefix of four chunks in the host, one that computes and stores, one that loads in two parts, and one that waits for it. */
  function busyDriver(options: OffloadDriverOptions): OffloadDriver {
    const driver = new OffloadDriver(maxInFlightSteps, { maxBlocksPerStep: 2, ...options });
    offload(driver, "a", tokens(1, 17), { maxTokens: 2 });
    driver.landsAtOnce = false;
    driver.add("r", 9, { maxTokens: 12 });
    driver.add("b", tokens(1, 17), { maxTokens: 5 });
    driver.add("c", [...tokens(1, 16), 5], { maxTokens: 5, priority: 1 });
    return driver;
  }

  describe.each([25, 9])("%s blocks: copies end in the same step, before it or after it, as", (numBlocks) => {
    test.each(EVENTS)("$name: nothing is lost, and the prompt's answer is that of before", ({ happen }) => {
      const orders = ["land, event", "event, land", "event, schedule, land", "schedule, land, event"];
      let numInSameStep = 0;
      for (let turn = 0; turn < NUM_TURNS; turn++) {
        for (const order of orders) {
          const driver = busyDriver({ numBlocks });
          driver.turns(turn);
          for (const move of order.split(", ")) {
            if (move === "land") {
              numInSameStep += driver.transfers.jobs.length;
              driver.landAll();
            } else if (move === "schedule") driver.turn();
            else happen(driver);
          }
          driver.landsAtOnce = true;
          driver.landAll();
          driver.run();
          expect([driver.scheduler.numFreeBlocks, driver.hostSlots]).toEqual([
            numBlocks - 1,
            expect.stringMatching(/ 0 pending, \d+ idle, 0 pinned$/),
          ]);
          const again = driver.add("d", tokens(1, 17), { maxTokens: 2 });
          driver.run();
          expect(again.outputTokenIds, `turn ${turn}: ${order}`).toEqual([517, 518]);
        }
      }
      expect(numInSameStep).toBeGreaterThan(5);
    });
  });

  describe.each(["before", "in"])("copies end %s the step that takes their request's blocks", (when) => {
    /** The next step is the one that takes them. */
    function scheduleAndLand(driver: OffloadDriver): void {
      if (when === "before") driver.landAll();
      driver.schedule();
      if (when === "in") driver.landAll();
    }

    test("stores of who is preempted: the chunks are there", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 7 });
      driver.landsAtOnce = false;
      driver.add("a", 7, { maxTokens: 3 });
      const victim = driver.add("b", 13, { maxTokens: 5 });
      driver.turns(2);
      expect(driver.lookup("b0", "b1", "b2")).toBe("pending pending pending");
      scheduleAndLand(driver);
      expect([victim.status, driver.lookup("b0", "b1", "b2")]).toEqual(["preempted", "hit hit hit"]);
      driver.landsAtOnce = true;
      driver.run();
      expect(victim.outputTokenIds).toEqual([513, 514, 515, 516, 517]);
    });

    test("a load that is revoked: what came before it stays in the prefix cache, what comes with it is nobody's", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 8 });
      offload(driver, "a", tokens(1, 13), { maxTokens: 2 });
      driver.add("r", 6, { maxTokens: 14, usePrefixCache: false });
      driver.turn();
      driver.landsAtOnce = false;
      const request = driver.add("b", tokens(1, 13), { maxTokens: 2 });
      driver.turns(10);
      expect([request.status, driver.freeBlockIds]).toEqual(["loading", ""]);
      scheduleAndLand(driver);
      expect([request.numRevocations, driver.scheduler.numCachedBlocks]).toEqual(when === "before" ? [1, 2] : [1, 0]);
      driver.landsAtOnce = true;
      driver.run();
      expect([request.outputTokenIds, driver.hostSlots]).toEqual([[513, 514], "29 free, 0 pending, 3 idle, 0 pinned"]);
    });
  });

  test("a prompt of k chunks is eligible as a whole when it is seen for the second time, and what only the second has is not", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { storeThreshold: 2 });
    driver.add("a", [...tokens(1, 12), ...tokens(2, 5)], { maxTokens: 2 });
    expect(copies(driver.run())).toEqual([]);
    driver.add("b", [...tokens(1, 12), ...tokens(3, 5)], { maxTokens: 2 });
    expect(copies(driver.run())).toEqual(["store a0 <- 1, store a1 <- 2, store a2 <- 3"]);
    expect(driver.lookup("a0", "a1", "a2", "a3", "b3")).toBe("hit hit hit miss miss");
    // Nothing has been seen too often: the third time stores what the second brought, and no more.
    driver.add("c", [...tokens(1, 12), ...tokens(3, 5)], { maxTokens: 2 });
    expect(copies(driver.run())).toEqual(["store b3 <- 5"]);
  });

  describe("the device is lost", () => {
    const LOSS = { numBlocks: 17, maxBlocksPerStep: 2 };

    test("during a load: the request begins again, and loads what the host still has; old results mean nothing", () => {
      const driver = new OffloadDriver(maxInFlightSteps, LOSS);
      offload(driver, "a", tokens(1, 13), { maxTokens: 2 });
      driver.landsAtOnce = false;
      const request = driver.add("b", tokens(1, 13), { maxTokens: 2 });
      driver.turn();
      const old = driver.transfers.jobs.map(({ job: { jobId, epoch } }) => ({ jobId, epoch, numBlocks: 2 }));
      driver.loseDevice();
      expect([request.status, driver.hostSlots]).toEqual(["waiting", "29 free, 0 pending, 3 idle, 0 pinned"]);
      expect(driver.turn()).toEqual(["", "load a0 -> 1 a1 -> 2", "", "4,5,6,7,8,9,10,11,12,13,14,15,16"]);
      driver.scheduler.completeTransfers(old);
      expect(driver.scheduler.numCachedBlocks).toBe(0);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
      expect([request.numExternalTokens, request.outputTokenIds]).toEqual([12, [513, 514]]);
    });

    test("during a store: it never was; the chunk is computed and stored again", () => {
      const driver = new OffloadDriver(maxInFlightSteps, LOSS);
      driver.landsAtOnce = false;
      const request = driver.add("a", tokens(1, 6), { maxTokens: 8 });
      driver.turns(2);
      expect(driver.lookup("a0")).toBe("pending");
      const old = driver.transfers.jobs.map(({ job: { jobId, epoch } }) => ({ jobId, epoch, numBlocks: 1 }));
      driver.loseDevice();
      expect([driver.lookup("a0"), driver.hostSlots]).toEqual(["miss", "32 free, 0 pending, 0 idle, 0 pinned"]);
      driver.scheduler.completeTransfers(old);
      expect([driver.lookup("a0"), request.status]).toEqual(["miss", "preempted"]);
      driver.landsAtOnce = true;
      expect(copies(driver.run())[0]).toBe("store a0 <- 1");
      expect(request.outputTokenIds).toEqual([506, 507, 508, 509, 510, 511, 512, 513]);
    });

    test("with stores that wait: leases end with the blocks that they held", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { ...LOSS, numStagingSlots: 1 });
      driver.landsAtOnce = false;
      driver.add("a", tokens(1, 17), { maxTokens: 2 });
      driver.turns(4);
      expect(driver.scheduler.numBlocksOnlyLeased).toBe(3);
      driver.loseDevice();
      expect([driver.scheduler.numBlocksOnlyLeased, driver.freeBlockIds, driver.scheduler.hasUnfinished]).toEqual([
        0,
        "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
        false,
      ]);
    });

    test("between a load and its request's first step: what had come is gone, and is loaded again", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { ...LOSS, maxBlocksPerStep: 4 });
      offload(driver, "a", tokens(1, 13), { maxTokens: 2 });
      driver.landsAtOnce = false;
      const request = driver.add("b", tokens(1, 13), { maxTokens: 2 });
      driver.turn();
      driver.landAll();
      expect(driver.scheduler.numCachedBlocks).toBe(3);
      driver.loseDevice();
      expect([driver.scheduler.numCachedBlocks, request.status]).toEqual([0, "waiting"]);
      driver.landsAtOnce = true;
      expect(work(driver.run()).slice(0, 2)).toEqual([
        ["", "load a0 -> 1 a1 -> 2 a2 -> 3"],
        ["b@0 12..13 0:[1,2,3,4] samples", ""],
      ]);
      expect(driver.connector.stats.numLoads).toBe(2);
    });

    test("three times in a row, with loads, stores and steps in flight: the answer is that of alone", () => {
      const driver = busyDriver({ numBlocks: 17 });
      const requests = ["e", "f"].map((requestId, i) => driver.add(requestId, 7 + i, { maxTokens: 6 }));
      for (let i = 0; i < 3; i++) {
        driver.turns(3 + i);
        driver.schedule();
        driver.loseDevice();
      }
      driver.landsAtOnce = true;
      driver.run();
      expect(requests.map(({ outputTokenIds }) => outputTokenIds)).toEqual([
        [507, 508, 509, 510, 511, 512],
        [508, 509, 510, 511, 512, 513],
      ]);
    });
  });
});
