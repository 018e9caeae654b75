import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;
  const last = late ? " last" : "";

  test("external tokens join the local hit at admission, and are counted apart", () => {
    const driver = new OffloadDriver(maxInFlightSteps);
    offload(driver, "a", tokens(1, 17), { maxTokens: 2 });
    const local = driver.add("x", tokens(1, 4), { maxTokens: 1 });
    driver.run();
    const before = driver.scheduler.stats;
    const both = driver.add("b", [...tokens(1, 16), 5, 6], { maxTokens: 1 });
    expect(driver.turns(2)).toEqual([
      ["", "load a1 -> 6 a2 -> 7 a3 -> 8", "", "9,10,11,12,13,14,15,16,4,3,2,1"],
      [
        "b@0 16..18 0:[5,6,7,8,9] samples",
        "",
        ...(late ? ["", "10,11,12,13,14,15,16,4,3,2,1"] : ["b 518 length", "9,10,11,12,13,14,15,16,4,3,2,1,8,7,6,5"]),
      ],
    ]);
    driver.run();
    expect([local, both].map((request) => [request.numCachedTokens, request.numExternalTokens])).toEqual([
      [0, 0],
      [16, 12],
    ]);
    expect(driver.scheduler.stats.numCachedTokens - before.numCachedTokens).toBe(16);
    expect(driver.scheduler.stats.numExternalTokens - before.numExternalTokens).toBe(12);
    expect(driver.connector.stats).toMatchObject({ numLoads: 1, numBlocksLoaded: 3 });
  });

  test("a load is not started where blocks are short: it waits, those behind it too, and nothing is pinned", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 8 });
    offload(driver, "a", tokens(1, 13), { maxTokens: 2 });
    driver.add("r", 9, { maxTokens: 6 });
    driver.turn();
    const request = driver.add("b", tokens(1, 17), { maxTokens: 2 });
    driver.add("c", 1, { maxTokens: 1 });
    const turns = driver.turns(late ? 6 : 5);
    expect(turns.at(-1)).toEqual(["r@0 13..14 samples", "", "r 514 length", "7,3,2,1,6,5,4"].map(byMode));
    expect([request.status, driver.scheduler.numLoading, driver.connector.stats.numLoads]).toEqual(["waiting", 0, 0]);
    expect(driver.hostSlots).toBe("26 free, 0 pending, 6 idle, 0 pinned");
    expect(work(driver.run())).toEqual([
      ["c@1 0..1 0:[1] samples", "load a0 -> 7 a1 -> 3 a2 -> 2"],
      [late ? "b@0 12..17 0:[7,3,2,6,5] samples" : "b@0 12..17 0:[7,3,2,1,6] samples", ""],
      [`b@0 17..18${last} samples`, late ? "store b3 <- 6" : "store b3 <- 1"],
    ]);
    expect([request.numExternalTokens, driver.scheduler.stats.numRevocations]).toEqual([12, 0]);
    // Late, r's last step was processed in a turn that scheduled nothing.
    function byMode(text: string, i: number): string {
      return late && i === 0 ? "" : text;
    }
  });

  test("a preempted request loads what others have taken from it on the GPU, and hits what they left", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 7 });
    driver.add("a", 7, { maxTokens: 12 });
    const victim = driver.add("b", 13, { maxTokens: 5 });
    const turns = driver.run();
    expect(copies(turns)[0]).toBe("store a0 <- 1, store b0 <- 3, store b1 <- 4, store b2 <- 5");
    const resumed = turns.findIndex(([, transfers]) => transfers.startsWith("load"));
    expect(work(turns.slice(resumed))).toEqual(
      late
        ? [
            ["", "load b1 -> 4 b2 -> 5"],
            ["b@0 12..14 0:[3,4,5,6] samples", ""],
            ["b@0 14..15 last samples", ""],
            ["b@0 15..16 last samples", ""],
            ["b@0 16..17 last 4:[2] samples", "store b3 <- 6"],
          ]
        : [
            ["", "load b1 -> 4 b2 -> 5"],
            ["b@0 12..15 0:[3,4,5,6] samples", ""],
            ["b@0 15..16 samples", ""],
            ["b@0 16..17 4:[2] samples", "store b3 <- 6"],
          ],
    );
    expect([victim.numPreemptions, victim.outputTokenIds]).toEqual([1, [513, 514, 515, 516, 517]]);
    // Its own KV is no cached token of its usage; the stats count every admission's.
    expect([victim.numCachedTokens, victim.numExternalTokens]).toEqual([0, 0]);
    expect(driver.scheduler.stats).toMatchObject({ numPreemptions: 1, numCachedTokens: 12, numExternalTokens: 8 });
  });

  test("a request that is put off for many steps is asked once, and counted once, when it is admitted", () => {
    const driver = new OffloadDriver(maxInFlightSteps);
    offload(driver, "a", tokens(1, 13), { maxTokens: 2 });
    driver.landsAtOnce = false;
    driver.add("b", tokens(1, 13), { maxTokens: 1 });
    driver.turn();
    const request = driver.add("c", [...tokens(1, 12), 6], { maxTokens: 1 });
    driver.turn();
    const before = driver.scheduler.stats;
    driver.turns(20);
    const { numRequestsVisited, numBlocksVisited, numCachedTokens } = driver.scheduler.stats;
    // Only b, which loads, is looked at in every step.
    expect(numRequestsVisited - before.numRequestsVisited).toBe(20);
    expect([numBlocksVisited, numCachedTokens]).toEqual([before.numBlocksVisited, 0]);
    driver.landsAtOnce = true;
    driver.landAll();
    driver.run();
    expect([request.numCachedTokens, request.numExternalTokens]).toEqual([12, 0]);
    expect(driver.scheduler.stats).toMatchObject({ numCachedTokens: 24, numExternalTokens: 12 });
    expect(driver.connector.stats.numDeferrals).toEqual({ loading: 1, pending: 0, retry: 0 });
  });

  test("requests whose loads have come run in their old place, before those that came later and run already", () => {
    const driver = new OffloadDriver(maxInFlightSteps);
    offload(driver, "a", tokens(1, 13), { maxTokens: 2 });
    driver.landsAtOnce = false;
    driver.add("b", tokens(1, 13), { maxTokens: 3 });
    driver.add("c", 3, { maxTokens: 6 });
    driver.add("d", [...tokens(1, 12), 9], { maxTokens: 3 });
    driver.add("e", 3, { maxTokens: 6 });
    expect(driver.turn()[0]).toBe("c@1 0..3 0:[7] samples, e@2 0..3 0:[8] samples");
    driver.turn();
    driver.landAll();
    const order = work(driver.turns(2)).map(([step]) => step.match(/\w@/g)?.join(" "));
    expect(order).toEqual(["c@ e@ b@ d@", "b@ c@ d@ e@"]);
    driver.landsAtOnce = true;
    driver.run();
  });

  test("while stores wait or are in flight there is work, though no request is left", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { numStagingSlots: 1 });
    driver.landsAtOnce = false;
    driver.add("a", tokens(1, 13), { maxTokens: 2 });
    driver.turns(4);
    const seen: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      const { numRunning, numWaiting, numBlocksOnlyLeased, hasUnfinished } = driver.scheduler;
      seen.push([numRunning + numWaiting, numBlocksOnlyLeased, hasUnfinished, driver.turn()[1]]);
      driver.landAll();
    }
    expect(seen).toEqual([
      [0, 2, true, ""],
      [0, 2, true, "store a1 <- 2"],
      [0, 1, true, "store a2 <- 3"],
    ]);
    driver.turn();
    expect([driver.scheduler.hasUnfinished, driver.scheduler.numFreeBlocks]).toEqual([false, 16]);
  });

  describe("two loads, each of three blocks, that need five each to get to an id", () => {
    function twoLoads(numBlocks: number): OffloadDriver {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks });
      for (const [requestId, seed] of Object.entries({ a: 1, b: 2 })) {
        offload(driver, requestId, tokens(seed, 13), { maxTokens: 2 });
      }
      driver.landsAtOnce = false;
      for (const [requestId, seed] of Object.entries({ c: 1, d: 2 })) {
        driver.add(requestId, [...tokens(seed, 13), 1, 2, 3, 4, 5, 6], { maxTokens: 1 });
      }
      return driver;
    }

    test("in nine blocks: the second one waits, so that neither stops the other for ever", () => {
      const driver = twoLoads(10);
      expect(copies(driver.turns(3))).toEqual(["load a0 -> 7 a1 -> 8 a2 -> 9"]);
      expect([driver.scheduler.numLoading, driver.scheduler.numWaiting]).toEqual([1, 1]);
      driver.landsAtOnce = true;
      driver.landAll();
      expect(copies(driver.run()).filter((each) => each.includes("load"))).toHaveLength(1);
      expect(driver.scheduler.stats).toMatchObject({ numRevocations: 0, numPreemptions: 0 });
    });

    test("in ten blocks: both load at once", () => {
      const driver = twoLoads(11);
      expect(copies(driver.turns(3))).toEqual(["load a0 -> 7 a1 -> 8 a2 -> 9, load b0 -> 10 b1 -> 3 b2 -> 2"]);
      driver.landsAtOnce = true;
      driver.landAll();
      expect(driver.turn()[0]).toBe("c@0 12..19 0:[7,8,9,1,6] samples, d@1 12..19 0:[10,3,2,5,4] samples");
      driver.run();
      expect(driver.scheduler.stats).toMatchObject({ numRevocations: 0, numPreemptions: 0 });
    });
  });

  describe("hybrid models", () => {
    test("full attention has the prefix on the GPU, its window is in the host: that alone is loaded", () => {
      const options = { windows: [null, 8], numBlocks: 15, maxPrefillChunkTokens: 4 };
      const driver = new OffloadDriver(maxInFlightSteps, options);
      driver.add("a", tokens(1, 28), { maxTokens: 2 });
      driver.run();
      expect(driver.freeBlockIds).toBe("4,2,6,8,10,13,14,11,12,9,7,5,3,1");
      const request = driver.add("b", [...tokens(1, 8), ...tokens(2, 4)], { maxTokens: 1 });
      expect(work(driver.turns(2))).toEqual([
        ["", "load a0/1 -> 4 a1/1 -> 2"],
        ["b@0 8..12 0:[1,3,6] g1 0:[4,2,8] samples", ""],
      ]);
      driver.run();
      expect([request.numCachedTokens, request.numExternalTokens]).toEqual([8, 8]);
    });

    test("neither has the window there: the hit ends where both together have what every group needs", () => {
      const options = { windows: [null, 8], numBlocks: 15, maxPrefillChunkTokens: 4 };
      const driver = new OffloadDriver(maxInFlightSteps, options);
      driver.landsAtOnce = false;
      driver.add("a", tokens(1, 28), { maxTokens: 2 });
      const isKept = (name: string) => name !== "a4/1";
      for (let turn = 0; turn < 12; turn++) {
        driver.turn();
        for (const { job } of driver.transfers.jobs) {
          driver.land(job.jobId, "key" in job && isKept(driver.nameOf(job.key)));
        }
      }
      driver.scheduler.resetPrefixCache();
      driver.landsAtOnce = true;
      // Boundaries 5 and 6 need chunk 4 of the window, which is missing.
      const request = driver.add("b", [...tokens(1, 24), 3], { maxTokens: 1 });
      driver.run();
      expect([request.numCachedTokens, request.numExternalTokens]).toEqual([16, 16]);
    });

    test("three groups: preempted, it loads in each group what is no longer there, into blocks of its own", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { windows: [null, 5, 9], numBlocks: 25, numSlots: 60 });
      driver.add("a", 11, { maxTokens: 14 });
      const victim = driver.add("b", 15, { maxTokens: 4, priority: 1 });
      driver.add("c", 3, { maxTokens: 12 });
      const turns = driver.run();
      const resumed = turns.findIndex(([, transfers]) => transfers.includes("load"));
      expect(work(turns.slice(resumed, resumed + 2))).toEqual(
        late
          ? [
              [
                "",
                "store a5 <- 13, store a5/1 <- 5, store a5/2 <- 7, " +
                  "load b0 -> 11 b1 -> 8 b1/2 -> 9 b2 -> 6 b2/1 -> 18 b2/2 -> 16",
              ],
              ["b@1 12..16 0:[11,8,6,12] g1 2:[18,23] g2 1:[9,16,14] samples", ""],
            ]
          : [
              ["a@0 22..23 samples", "load b0 -> 11 b1 -> 8 b2 -> 6 b2/2 -> 5 b3 -> 18 b3/1 -> 9 b3/2 -> 12"],
              ["a@0 23..24 samples, b@1 16..17 0:[11,8,6,18,20] g1 3:[9,24] g2 2:[5,12,15] samples", ""],
            ],
      );
      expect([victim.numPreemptions, victim.outputTokenIds]).toEqual([1, [515, 516, 517, 518]]);
    });

    test("every block of a window can serve a hit that ends there: all are stored, as soon as they are full", () => {
      const driver = new OffloadDriver(maxInFlightSteps, {
        windows: [null, 4],
        maxPrefillChunkTokens: 4,
        numBlocks: 33,
      });
      offload(driver, "a", tokens(1, 20), { maxTokens: 2 });
      expect(driver.lookup("a0/1", "a1/1", "a2/1", "a3/1", "a4/1")).toBe("hit hit hit hit hit");
      const numExternal = [4, 8, 12, 16].map((numShared, i) => {
        driver.scheduler.resetPrefixCache();
        const request = driver.add("bcde"[i], [...tokens(1, numShared), 9], { maxTokens: 1 });
        driver.run();
        return request.numExternalTokens;
      });
      expect(numExternal).toEqual([4, 8, 12, 16]);
    });
  });
});
