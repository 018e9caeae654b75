import { describe, expect, test } from "vitest";
import { OffloadDriver, type OffloadDriverOptions } from "./offload-driver.fixture";
import { copies, offload, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("a request that loads, $name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;
  const last = late ? " last" : "";

  /** A driver whose host tier has three chunks of tokens(1, ...), and whose GPU has nothing. */
  function withPrefix(options: OffloadDriverOptions = {}): OffloadDriver {
    const driver = new OffloadDriver(maxInFlightSteps, options);
    offload(driver, "a", tokens(1, 13), { maxTokens: 2 });
    return driver;
  }

  test("its life: blocks are taken, copied to, run on, and given back", () => {
    const driver = withPrefix();
    driver.landsAtOnce = false;
    const request = driver.add("b", tokens(1, 14), { maxTokens: 2 });
    const loading = "7,8,9,10,11,12,13,14,15,16,3,2,1";
    const running = "8,9,10,11,12,13,14,15,16,3,2,1";
    const ended = "7,8,9,10,11,12,13,14,15,16,3,2,1,6,5,4";
    expect(driver.turns(2)).toEqual([
      ["", "load a0 -> 4 a1 -> 5 a2 -> 6", "", loading],
      ["", "", "", loading],
    ]);
    expect([request.status, request.numComputedTokens, driver.scheduler.numLoading]).toEqual(["loading", 0, 1]);
    driver.landAll();
    expect(driver.run()).toEqual(
      late
        ? [
            ["b@0 12..14 0:[4,5,6,7] samples", "", "", running],
            ["b@0 14..15 last samples", "", "b 514", running],
            ["", "", "b 515 length", ended],
          ]
        : [
            ["b@0 12..14 0:[4,5,6,7] samples", "", "b 514", running],
            ["b@0 14..15 samples", "", "b 515 length", ended],
          ],
    );
  });

  test("beside requests that run: they lose no step by it, and are joined when all has come", () => {
    const driver = withPrefix({ maxBlocksPerStep: 2 });
    driver.add("r", 3, { maxTokens: 9 });
    driver.turn();
    driver.landsAtOnce = false;
    driver.add("b", tokens(1, 13), { maxTokens: 2 });
    expect(work(driver.turns(3))).toEqual([
      [`r@0 3..4${last} samples`, "load a0 -> 5 a1 -> 6"],
      [`r@0 4..5${last} 1:[8] samples`, "store r0 <- 4, load a2 -> 7"],
      [`r@0 5..6${last} samples`, ""],
    ]);
    driver.landAll();
    driver.landsAtOnce = true;
    expect(driver.turn()[0]).toBe(`r@0 6..7${last} samples, b@1 12..13 0:[5,6,7,9] samples`);
    driver.run();
  });

  test("no spurious caching: a block is hit when it has arrived, not before, and one that only load or run hold stays", () => {
    const driver = withPrefix({ maxBlocksPerStep: 1 });
    driver.landsAtOnce = false;
    driver.add("b", tokens(1, 13), { maxTokens: 1 });
    driver.turns(2);
    expect(driver.scheduler.numCachedBlocks).toBe(0);
    driver.land(driver.transfers.jobs[0].job.jobId);
    expect(driver.scheduler.numCachedBlocks).toBe(1);
    // What it needs more is on its way for b: it waits, and takes no second copy.
    const peer = driver.add("c", [...tokens(1, 8), 5, 6], { maxTokens: 1 });
    const other = driver.add("d", [...tokens(1, 4), 5, 6], { maxTokens: 1 });
    const step = driver.turn();
    expect([peer.status, step.slice(0, 2)]).toEqual(["waiting", ["d@1 4..6 0:[4,7] samples", "load a2 -> 6"]]);
    driver.landsAtOnce = true;
    driver.landAll();
    driver.run();
    expect([peer.numCachedTokens, other.numCachedTokens, driver.connector.stats.numBlocksLoaded]).toEqual([8, 4, 3]);
  });

  test("a loaded request is preempted for one block: it comes back with what it had loaded, and loads nothing", () => {
    const driver = withPrefix({ numBlocks: 8 });
    driver.add("r", 10, { maxTokens: 5 });
    const request = driver.add("b", tokens(1, 13), { maxTokens: 5 });
    const turns = driver.run();
    expect([request.numPreemptions, request.numExternalTokens]).toEqual([1, 12]);
    expect(copies(turns)).toEqual([
      "load a0 -> 7 a1 -> 3 a2 -> 2",
      "store r0 <- 4, store r1 <- 5",
      "store r2 <- 6",
      "store a3 <- 1",
    ]);
    // Preempted by r, which needs one block; b gives back four, and loses the one that was not full.
    const resumed = work(turns).slice(late ? -4 : -3);
    expect(resumed.map(([step]) => step)).toEqual(
      late
        ? [
            "b@0 12..14 0:[7,3,2,1] samples",
            "b@0 14..15 last samples",
            "b@0 15..16 last samples",
            "b@0 16..17 last 4:[6] samples",
          ]
        : ["b@0 12..15 0:[7,3,2,1] samples", "b@0 15..16 samples", "b@0 16..17 4:[6] samples"],
    );
  });

  test("it is not begun where blocks lack for it, whatever the host has", () => {
    const driver = withPrefix({ numBlocks: 6 });
    driver.add("r", 6, { maxTokens: 3 });
    driver.turn();
    const request = driver.add("b", tokens(1, 13), { maxTokens: 2 });
    const turns = driver.turns(2);
    expect([copies(turns).join().includes("load"), request.status, driver.scheduler.numLoading]).toEqual([
      false,
      "waiting",
      0,
    ]);
    driver.run();
    expect(request.numExternalTokens).toBe(12);
  });

  test("abort while stores wait: leased blocks are not handed out before their copies are submitted", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 13, numStagingSlots: 1 });
    driver.landsAtOnce = false;
    driver.add("a", tokens(1, 13), { maxTokens: 9 });
    driver.turns(2);
    driver.scheduler.abort("a");
    driver.turn();
    expect([driver.freeBlockIds, driver.scheduler.numBlocksOnlyLeased]).toEqual(["4,5,6,7,8,9,10,11,12,1", 2]);
    driver.add("b", 40, { maxTokens: 1, usePrefixCache: false });
    expect(driver.turn()[0]).toBe("b@0 0..32 0:[4,5,6,7,8,9,10,11]");
    driver.landsAtOnce = true;
    driver.landAll();
    const turns = driver.run();
    expect(copies(turns)).toEqual(["store a1 <- 2", "store a2 <- 3"]);
    expect(driver.lookup("a0", "a1", "a2")).toBe("hit hit hit");
  });

  describe("aborted", () => {
    test("while copies are under way: its blocks are free at once, and nothing of a late result is taken in", () => {
      const driver = withPrefix({ numBlocks: 9, maxBlocksPerStep: 2 });
      driver.landsAtOnce = false;
      driver.add("b", tokens(1, 13));
      expect(driver.turn()[1]).toBe("load a0 -> 4 a1 -> 5");
      expect(driver.scheduler.abort("b")).toBe(true);
      expect(driver.scheduler.numFreeBlocks).toBe(8);
      driver.landAll();
      // The third block is not copied any more; the two that came belong to nobody.
      expect(driver.turn()).toEqual(["", "", "", driver.freeBlockIds]);
      expect([driver.scheduler.numCachedBlocks, driver.scheduler.hasUnfinished]).toEqual([0, false]);
      expect(driver.hostSlots).toBe("29 free, 0 pending, 3 idle, 0 pinned");
    });

    test("when all has come, before it runs: what came can be hit", () => {
      const driver = withPrefix();
      driver.landsAtOnce = false;
      driver.add("b", tokens(1, 13));
      driver.turn();
      driver.landAll();
      driver.scheduler.abort("b");
      expect([driver.scheduler.numCachedBlocks, driver.scheduler.numFreeBlocks]).toEqual([3, 16]);
      driver.add("c", tokens(1, 13), { maxTokens: 1 });
      expect(driver.turn()[0]).toBe("c@0 12..13 0:[4,5,6,7] samples");
      driver.run();
    });
  });

  test("a victim in the middle of a hand-off: its stores keep their leases, and its chunks are there when it comes back", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 9, numStagingSlots: 1 });
    driver.landsAtOnce = false;
    driver.add("a", 7, { maxTokens: 3 });
    const victim = driver.add("b", tokens(2, 23), { maxTokens: 3 });
    driver.turns(late ? 4 : 3);
    expect([victim.numPreemptions, driver.scheduler.numBlocksOnlyLeased, driver.freeBlockIds]).toEqual([
      1,
      2,
      late ? "7,6,5" : "8,7,6,5,2,1",
    ]);
    driver.landsAtOnce = true;
    driver.landAll();
    // Both are hit where they lie, and copied out when it is their turn.
    expect(work(driver.run())).toEqual(
      late
        ? [
            ["", "store b0 <- 3"],
            ["b@0 20..24 0:[3,4,5,6,7,8] samples", "store b1 <- 4"],
            ["b@0 24..25 last 6:[1] samples", "store a1 <- 2"],
            ["", "store b2 <- 5"],
            ["", "store b3 <- 6"],
            ["", "store b4 <- 7"],
          ]
        : [
            ["b@0 20..25 0:[3,4,5,6,7,8,2] samples", "store b0 <- 3"],
            ["", "store b1 <- 4"],
            ["", "store b2 <- 5"],
          ],
    );
  });
});
