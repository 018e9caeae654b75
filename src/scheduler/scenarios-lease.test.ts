import { describe, expect, test } from "vitest";
import { makeOffloadPolicy } from "../offload/offload-policy";
import { OffloadDriver, type OffloadDriverOptions } from "./offload-driver.fixture";
import { copies, offload, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  /** One slot in the staging ring, and no result unless the test tells it: of several stores all but one wait. */
  function withFullRing(options: OffloadDriverOptions = {}): OffloadDriver {
    const driver = new OffloadDriver(maxInFlightSteps, { numStagingSlots: 1, ...options });
    driver.landsAtOnce = false;
    return driver;
  }

  function landAndRun(driver: OffloadDriver): void {
    driver.landsAtOnce = true;
    driver.landAll();
    driver.run();
  }

  describe("stores that wait when their request ends", () => {
    /** a has ended; its first chunk is on its way, the stores of blocks 2 and 3 wait. */
    function ended(options: OffloadDriverOptions = {}): OffloadDriver {
      const driver = withFullRing(options);
      driver.add("a", tokens(1, 13), { maxTokens: 1 });
      driver.turns(2);
      expect(driver.connector.stats).toMatchObject({ numStoresInFlight: 1, numStoresWaiting: 2, numLeasedBlocks: 2 });
      return driver;
    }

    test("keep their blocks: they are not handed out, and only leases hold them", () => {
      const driver = ended();
      expect(driver.freeBlockIds).toBe("4,5,6,7,8,9,10,11,12,13,14,15,16,1");
      expect(driver.scheduler.numBlocksOnlyLeased).toBe(2);
      driver.add("b", 51, { maxTokens: 1 });
      const [step] = driver.turn();
      expect(step).toBe("b@0 0..32 0:[4,5,6,7,8,9,10,11] samples".replace(" samples", ""));
      landAndRun(driver);
      expect(driver.lookup("a0", "a1", "a2")).toBe("hit hit hit");
    });

    test("can be hit", () => {
      const driver = ended();
      driver.add("b", [...tokens(1, 12), 7], { maxTokens: 1 });
      expect(driver.turn()[0]).toBe("b@0 12..13 0:[1,2,3,4] samples");
      landAndRun(driver);
      expect(driver.lookup("a0", "a1", "a2")).toBe("hit hit hit");
    });

    test("go one by one as the ring has room; each gives up its lease with its copy, not with its result", () => {
      const driver = ended();
      driver.landAll();
      expect(driver.scheduler.numBlocksOnlyLeased).toBe(2);
      expect(driver.turn()[1]).toBe("store a1 <- 2");
      expect([driver.scheduler.numBlocksOnlyLeased, driver.lookup("a0", "a1", "a2")]).toEqual([
        1,
        "hit pending pending",
      ]);
      driver.landAll();
      expect(driver.turn()[1]).toBe("store a2 <- 3");
      expect(driver.scheduler.numBlocksOnlyLeased).toBe(0);
      landAndRun(driver);
    });

    test("the engine goes on until they have arrived", () => {
      const driver = ended();
      expect([driver.scheduler.numRunning + driver.scheduler.numWaiting, driver.scheduler.hasUnfinished]).toEqual([
        0,
        true,
      ]);
      landAndRun(driver);
      expect(driver.scheduler.hasUnfinished).toBe(false);
    });

    test("are cancelled, the newest first, when a request that is alone needs their blocks", () => {
      const driver = ended();
      driver.add("b", 60, { maxTokens: 1, usePrefixCache: false });
      driver.turns(2);
      // 15 blocks: 14 were free.
      expect(driver.connector.stats.numStoresCancelled).toBe(1);
      expect(driver.lookup("a0", "a1", "a2")).toBe("pending pending miss");
      landAndRun(driver);
      expect(driver.lookup("a1")).toBe("hit");
    });
  });

  describe("blocks of a store whose copy goes with the step", () => {
    test("a prefill may write to them in that very step", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 5 });
      driver.add("a", tokens(1, 13), { maxTokens: 1 });
      driver.turns(late ? 2 : 1);
      driver.add("b", 13, { maxTokens: 1 });
      expect(work(driver.run())).toEqual(
        late
          ? [
              // a's copies went before its output was known.
              ["b@0 0..13 0:[4,3,2,1] samples", ""],
              ["", "store b0 <- 4, store b1 <- 3, store b2 <- 2"],
            ]
          : [
              // In a pool of 4 blocks leases hold one: the other two chunks are lost to the tier.
              ["b@0 0..13 0:[4,3,2,1] samples", "store a0 <- 1"],
              ["", "store b0 <- 4"],
            ],
      );
    });

    test("a load may be copied to them in that very step", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 9 });
      offload(driver, "x", tokens(1, 29));
      driver.add("y", 13, { maxTokens: 1 });
      driver.turns(late ? 2 : 1);
      driver.add("b", tokens(1, 29), { maxTokens: 1 });
      driver.landsAtOnce = true;
      const turns = work(driver.run());
      const loads = turns.filter(([, transfers]) => transfers.includes("load"));
      expect(loads).toHaveLength(1);
      // The shadow checks that y's chunks were read before x's were written over them.
      expect(driver.lookup("y0", "y1")).toBe("hit hit");
    });

    test("preempted in the pass that hands its blocks on: its chunks are read before they are written over", () => {
      const policy = makeOffloadPolicy("storeOnPreempt");
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 7, policy });
      driver.add("a", 7, { maxTokens: 3 });
      const victim = driver.add("b", 13, { maxTokens: 5 });
      driver.turns(2);
      const turn = driver.turn();
      expect(victim.status).toBe("preempted");
      // Where a step is in flight, the blocks come free only behind it; the copies go all the same.
      expect(turn.slice(0, 2)).toEqual(
        late
          ? ["", "store b0 <- 3, store b1 <- 4, store b2 <- 5"]
          : ["a@0 8..9 2:[6] samples", "store b0 <- 3, store b1 <- 4, store b2 <- 5"],
      );
      driver.run();
      expect(driver.lookup("b0", "b1", "b2")).toBe("hit hit hit");
    });
  });

  describe("windows", () => {
    test("a block that leaves its window while its store waits is kept, and copied", () => {
      const driver = withFullRing({ windows: [8] });
      driver.add("a", 13, { maxTokens: 12 });
      driver.turns(2);
      expect(driver.connector.stats.numStoresWaiting).toBe(2);
      driver.turns(8);
      // Of the first three blocks none is in the window of position 20; those whose stores wait are held all the same.
      expect(driver.scheduler.numBlocksOnlyLeased).toBe(2);
      landAndRun(driver);
      expect(driver.lookup("a0", "a1", "a2")).toBe("hit hit hit");
    });

    test("a request with full and sliding groups ends: the leases of both hold", () => {
      const driver = withFullRing({ windows: [null, 8], numBlocks: 33 });
      driver.add("a", 13, { maxTokens: 1 });
      driver.turns(2);
      const { numStoresWaiting, numLeasedBlocks } = driver.connector.stats;
      expect([numStoresWaiting, numLeasedBlocks, driver.scheduler.numBlocksOnlyLeased]).toEqual([5, 5, 5]);
      landAndRun(driver);
      expect(driver.lookup("a0", "a1", "a2", "a0/1", "a1/1", "a2/1")).toBe("hit hit hit hit hit hit");
      expect(driver.scheduler.numFreeBlocks).toBe(32);
    });
  });

  test("leases hold at most a quarter of the pool; what finds no room is offered again when there is some", () => {
    const driver = withFullRing();
    driver.add("a", 32, { maxTokens: 9 });
    driver.turns(2);
    // Of 16 blocks 4 may be leased. One more store is in flight and needs none.
    expect(driver.connector.stats).toMatchObject({ numStoresInFlight: 1, numLeasedBlocks: 4, maxLeasedBlocks: 4 });
    expect(driver.connector.stats.numStoresWithoutRoom).toBe(3);
    driver.landAll();
    expect(driver.turn()[1]).toBe("store a1 <- 2");
    expect(driver.connector.stats.numLeasedBlocks).toBe(4);
    driver.landsAtOnce = true;
    driver.landAll();
    driver.run();
    expect(driver.lookup("a0", "a1", "a2", "a3", "a4", "a5", "a6")).toBe("hit hit hit hit hit hit hit");
  });

  test("a load takes no lease: its blocks are its request's", () => {
    const driver = new OffloadDriver(maxInFlightSteps);
    offload(driver, "a", tokens(1, 13));
    driver.landsAtOnce = false;
    driver.add("b", tokens(1, 13), { maxTokens: 1 });
    driver.turn();
    expect([driver.scheduler.numLoading, driver.connector.stats.numLeasedBlocks]).toEqual([1, 0]);
    expect(driver.scheduler.numBlocksOnlyLeased).toBe(0);
    landAndRun(driver);
  });

  test("the end of a chain that leases gave up is handed out before its beginning", () => {
    const driver = new OffloadDriver(maxInFlightSteps);
    driver.add("a", 13, { maxTokens: 1 });
    driver.run();
    expect(driver.freeBlockIds).toBe("4,5,6,7,8,9,10,11,12,13,14,15,16,3,2,1");
  });

  test("a preempted request's stores in flight do not keep it from running again", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 7 });
    driver.landsAtOnce = false;
    driver.add("a", 7, { maxTokens: 3 });
    const victim = driver.add("b", 13, { maxTokens: 5 });
    const turns = driver.turns(8);
    expect([victim.numPreemptions, driver.transfers.jobs.length > 0]).toEqual([1, true]);
    // Its blocks are in the prefix cache still: nothing is waited for, or loaded.
    expect(copies(turns).some((each) => each.includes("load"))).toBe(false);
    expect(victim.outputTokenIds.length).toBeGreaterThan(2);
    landAndRun(driver);
  });
});
