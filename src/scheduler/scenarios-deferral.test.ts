import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, PickyManager, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  describe("another request loads the same chunks", () => {
    test("requests with one prefix cause one load; the others hit its blocks on the GPU", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      offload(driver, "a", tokens(1, 9));
      for (const [i, requestId] of ["b", "c", "d"].entries()) {
        driver.add(requestId, [...tokens(1, 8), i + 1], { maxTokens: 1 });
      }
      expect(work(driver.run())).toEqual([
        ["", "load a0 -> 3 a1 -> 4"],
        ["b@0 8..9 0:[3,4,5] samples, c@1 8..9 0:[3,4,6] samples, d@2 8..9 0:[3,4,7] samples", ""],
      ]);
      expect(driver.connector.stats).toMatchObject({ numLoads: 1, numDeferrals: { loading: 2, pending: 0, retry: 0 } });
    });

    test("who waits holds nothing, takes no row, and is not asked again in every step", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      offload(driver, "a", tokens(1, 9));
      driver.landsAtOnce = false;
      driver.add("b", [...tokens(1, 8), 1], { maxTokens: 1 });
      driver.add("c", [...tokens(1, 8), 2], { maxTokens: 1 });
      driver.turn();
      expect([driver.scheduler.numDeferred, driver.scheduler.numLoading, driver.scheduler.numFreeBlocks]).toEqual([
        1, 1, 14,
      ]);
      driver.turns(5);
      expect(driver.connector.stats.numDeferrals.loading).toBe(1);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
    });

    test("a peer whose GPU hit covers what is being loaded runs at once", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { maxBlocksPerStep: 1 });
      offload(driver, "a", tokens(1, 13));
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turns(2);
      // Two of b's three blocks have arrived. c knows no more than these, d waits for the third.
      driver.add("c", [...tokens(1, 8), 7], { maxTokens: 1 });
      driver.add("d", [...tokens(1, 12), 7], { maxTokens: 1 });
      const [turn] = work(driver.turns(1));
      expect(turn).toEqual(["c@1 8..9 0:[4,5,7] samples", "load a2 -> 6"]);
      expect(driver.scheduler.numDeferred).toBe(1);
      expect(work(driver.run())[0][0]).toBe(
        late
          ? "b@0 12..13 0:[4,5,6,8] samples, d@2 12..13 0:[4,5,6,9] samples"
          : "b@0 12..13 0:[4,5,6,7] samples, d@1 12..13 0:[4,5,6,8] samples",
      );
    });

    test("the load is aborted: the first that waits loads, the others wait for it", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      offload(driver, "a", tokens(1, 9));
      driver.landsAtOnce = false;
      for (const requestId of ["b", "c", "d"]) driver.add(requestId, [...tokens(1, 8), 1], { maxTokens: 1 });
      driver.turn();
      driver.scheduler.abort("b");
      expect(copies(driver.turns(1))).toEqual(["load a0 -> 3 a1 -> 4"]);
      expect([driver.scheduler.numLoading, driver.scheduler.numDeferred]).toEqual([1, 1]);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
      expect(driver.connector.stats.numLoads).toBe(2);
    });

    describe("who waits for a load that ends before its time is asked again at once", () => {
      /** r grows, b loads x's two chunks, d loads a's, c waits for d. Copies are not heard of from now on. */
      function withOneThatWaits(options: ConstructorParameters<typeof OffloadDriver>[1] = {}) {
        const driver = new OffloadDriver(maxInFlightSteps, options);
        offload(driver, "x", tokens(2, 9));
        offload(driver, "a", tokens(1, 9));
        driver.landsAtOnce = false;
        const r = driver.add("r", 3, { maxTokens: 29, usePrefixCache: false, priority: -2 });
        driver.turn();
        driver.add("b", tokens(2, 9), { maxTokens: 1, priority: -1 });
        const d = driver.add("d", [...tokens(1, 8), 1], { maxTokens: 1 });
        driver.turn();
        driver.add("c", [...tokens(1, 8), 2], { maxTokens: 1, priority: -1 });
        const asked: string[] = [];
        const lookup = driver.connector.lookup.bind(driver.connector);
        driver.connector.lookup = (request, isCached) => {
          asked.push(request.requestId);
          return lookup(request, isCached);
        };
        const isAskedInTurn = () => {
          asked.length = 0;
          driver.turn();
          return asked.includes("c");
        };
        expect([isAskedInTurn(), isAskedInTurn(), driver.connector.isDeferred("c")]).toEqual([true, false, true]);
        const jobOf = (requestId: string) =>
          driver.transfers.jobs.find(({ job }) => driver.connector.ownerOf(job.jobId) === requestId)!.job.jobId;
        const finish = () => {
          driver.landsAtOnce = true;
          driver.landAll();
          driver.run();
        };
        return { driver, r, d, isAskedInTurn, jobOf, finish };
      }

      test("aborted", () => {
        const { driver, isAskedInTurn, finish } = withOneThatWaits();
        driver.scheduler.abort("d");
        expect([isAskedInTurn(), driver.scheduler.numLoading]).toEqual([true, 2]);
        finish();
      });

      test("failed", () => {
        const { driver, isAskedInTurn, jobOf, finish } = withOneThatWaits();
        driver.scheduler.completeTransfers([{ jobId: jobOf("d"), epoch: 0, numBlocks: 0 }]);
        expect([isAskedInTurn(), driver.connector.stats.numLoadsFailed]).toEqual([true, 1]);
        finish();
      });

      test("silent for too long", () => {
        const { driver, isAskedInTurn, finish } = withOneThatWaits();
        driver.nowMs = 1999;
        expect(isAskedInTurn()).toBe(false);
        driver.nowMs = 2000;
        expect([isAskedInTurn(), driver.connector.stats.numLoadsFailed]).toEqual([true, 2]);
        finish();
      });

      test("revoked by a load that has arrived: in the very step", () => {
        const { driver, r, d, isAskedInTurn, jobOf, finish } = withOneThatWaits({ numBlocks: 9 });
        while (driver.scheduler.numFreeBlocks > 0) driver.turn();
        driver.land(jobOf("b"));
        const isAsked = isAskedInTurn();
        expect([isAsked, d.numRevocations, r.status]).toEqual([true, 1, "running"]);
        finish();
      });

      test("revoked by a request that runs: in the next step, for this one has no blocks for anybody", () => {
        const { d, isAskedInTurn, finish } = withOneThatWaits({ numBlocks: 9 });
        while (d.numRevocations === 0) expect(isAskedInTurn()).toBe(false);
        expect(isAskedInTurn()).toBe(true);
        finish();
      });
    });

    test("who waits is aborted: nothing is left of it", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      offload(driver, "a", tokens(1, 9));
      for (const requestId of ["b", "c"]) driver.add(requestId, tokens(1, 9), { maxTokens: 1 });
      driver.turn();
      driver.scheduler.abort("c");
      expect(driver.scheduler.numDeferred).toBe(0);
      expect(work(driver.run()).map(([step]) => step)).toEqual(["b@0 8..9 0:[3,4,5] samples"]);
    });

    test("who waits keeps its place and stops nobody", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { maxNumRunning: 2 });
      offload(driver, "a", tokens(1, 9));
      driver.add("b", [...tokens(1, 8), 1], { maxTokens: 1 });
      driver.add("c", [...tokens(1, 8), 2], { maxTokens: 1 });
      driver.add("d", 3, { maxTokens: 1 });
      driver.add("e", 3, { maxTokens: 1 });
      expect(work(driver.run())).toEqual(
        late
          ? [
              ["d@1 0..3 0:[5] samples", "load a0 -> 3 a1 -> 4"],
              // d's row is taken until its step was processed.
              ["b@0 8..9 0:[3,4,6] samples", ""],
              ["c@1 8..9 0:[3,4,5] samples", ""],
              ["e@0 0..3 0:[6] samples", ""],
            ]
          : [
              ["d@1 0..3 0:[5] samples", "load a0 -> 3 a1 -> 4"],
              ["b@0 8..9 0:[3,4,5] samples, c@1 8..9 0:[3,4,6] samples", ""],
              ["e@1 0..3 0:[6] samples", ""],
            ],
      );
    });
  });

  describe("a chunk is on its way into the tier", () => {
    /** A store of a's chunks 0, 1 and 2 is in flight; the GPU has forgotten them. */
    function storing(manager?: PickyManager): OffloadDriver {
      const driver = new OffloadDriver(maxInFlightSteps, { manager });
      driver.landsAtOnce = false;
      driver.add("a", tokens(1, 13), { maxTokens: 1 });
      driver.turns(3);
      driver.scheduler.resetPrefixCache();
      expect(driver.lookup("a0", "a1", "a2")).toBe("pending pending pending");
      return driver;
    }

    test("the request waits until it is there, and loads it then", () => {
      const driver = storing();
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(driver.turn().slice(0, 2)).toEqual(["", ""]);
      expect(driver.connector.stats.numDeferrals).toEqual({ loading: 0, pending: 1, retry: 0 });
      driver.landsAtOnce = true;
      driver.landAll();
      expect(copies(driver.run())).toEqual(["load a0 -> 4 a1 -> 5 a2 -> 6"]);
    });

    test("its store fails: the request computes", () => {
      const driver = storing();
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      driver.landAll(false);
      driver.landsAtOnce = true;
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.13 /);
      driver.run();
    });

    test("behind a miss it makes nobody wait", () => {
      const driver = storing();
      driver.manager.discard([driver.keyOf("a0")]);
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.13 /);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
    });

    test("in a window that a miss has broken it makes nobody wait", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { windows: [8] });
      driver.landsAtOnce = false;
      driver.add("a", tokens(1, 13), { maxTokens: 1 });
      driver.turns(3);
      driver.scheduler.resetPrefixCache();
      // A prefix of three blocks needs the last two; one of two needs both; one of one needs the first.
      driver.manager.discard([driver.keyOf("a1"), driver.keyOf("a0")]);
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.13 /);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
    });

    test("opting out of the prefix cache: it neither waits nor makes others wait", () => {
      const driver = storing();
      driver.add("b", tokens(1, 13), { maxTokens: 1, usePrefixCache: false });
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.13 /);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.add("c", tokens(1, 13), { maxTokens: 1 });
      expect(copies(driver.run())).toHaveLength(1);
      expect(driver.connector.stats.numDeferrals).toEqual({ loading: 0, pending: 0, retry: 0 });
    });

    test("after a preemption, too: its own chunk that is still on its way is waited for, not computed", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 6 });
      driver.landsAtOnce = false;
      const request = driver.add("a", 8, { maxTokens: 4, priority: 1 });
      driver.add("b", 7, { maxTokens: 4 });
      driver.turns(2);
      driver.scheduler.resetPrefixCache();
      // b needs a third block.
      driver.turns(2);
      expect([request.status, driver.lookup("a0", "a1")]).toEqual(["preempted", "pending pending"]);
      driver.turns(4);
      expect(driver.connector.isDeferred("a")).toBe(true);
      driver.landsAtOnce = true;
      driver.landAll();
      expect(copies(driver.run()).filter((each) => each.startsWith("load"))).toHaveLength(1);
    });
  });

  describe("what those who wait have in the tier", () => {
    test("lookups reserve nothing: neither blocks nor slots", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numSlots: 6 });
      offload(driver, "a", tokens(1, 9));
      offload(driver, "x", tokens(2, 9));
      driver.landsAtOnce = false;
      driver.add("b", tokens(1, 9), { maxTokens: 1 });
      for (const requestId of ["c", "d"]) driver.add(requestId, [...tokens(1, 8), 5], { maxTokens: 1 });
      driver.turn();
      const { numFreeSlots, numIdleSlots, numPinnedSlots } = driver.connector.stats.host;
      expect([driver.scheduler.numDeferred, driver.scheduler.numFreeBlocks]).toEqual([2, 14]);
      // Pinned is what b loads, and nothing else.
      expect([numFreeSlots, numIdleSlots, numPinnedSlots]).toEqual([2, 2, 2]);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
    });

    test("is evicted neither by each other's lookups nor by stores, while other chunks can go", () => {
      // Chunks: a0 a1 are needed by those who wait, x0 and x1 by nobody. a's are the oldest.
      const driver = new OffloadDriver(maxInFlightSteps, { numSlots: 5 });
      offload(driver, "a", tokens(1, 9));
      offload(driver, "x", 9);
      const answers = new Map([[driver.keyOf("a1"), "retry" as const]]);
      const lookup = driver.manager.lookup.bind(driver.manager);
      driver.manager.lookup = (key) => answers.get(key) ?? lookup(key);
      for (const requestId of ["b", "c"]) driver.add(requestId, [...tokens(1, 8), 5], { maxTokens: 1 });
      driver.turn();
      expect(driver.scheduler.numDeferred).toBe(2);
      // Three chunks come in: one finds a free slot, two push x's out.
      driver.add("s", 13, { maxTokens: 2 });
      driver.turns(4);
      expect(driver.lookup("s0", "s1", "s2", "x0", "x1", "a0")).toBe("hit hit hit miss miss hit");
      answers.clear();
      driver.nowMs = 2000;
      expect(copies(driver.turns(1))[0]).toMatch(/load a0 -> \d+ a1 -> \d+$/);
      driver.run();
    });
  });

  describe("deadlines", () => {
    test("a chunk that nobody knows of yet is waited for two seconds at most, then computed", () => {
      const manager = new PickyManager();
      const driver = new OffloadDriver(maxInFlightSteps, { manager });
      driver.add("a", tokens(1, 9), { maxTokens: 1 });
      driver.run();
      driver.scheduler.resetPrefixCache();
      manager.answers.set(driver.keyOf("a1"), "retry");
      driver.add("b", tokens(1, 9), { maxTokens: 1 });
      expect(driver.turns(1)[0].slice(0, 2)).toEqual(["", ""]);
      expect(driver.scheduler.nextDeadlineMs).toBe(2000);
      driver.nowMs = 1999;
      expect(driver.turns(1)[0].slice(0, 2)).toEqual(["", ""]);
      driver.nowMs = 2000;
      // What is readable is loaded all the same.
      expect(work(driver.run())).toEqual([
        ["", "load a0 -> 3"],
        ["b@0 4..9 0:[3,4,5] samples", ""],
      ]);
      expect(driver.connector.stats).toMatchObject({ numDeferrals: { retry: 1 }, numDeferralsTimedOut: 1 });
    });

    test("nobody waits longer than computing would take", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.add("a", tokens(1, 17), { maxTokens: 1 });
      driver.schedule();
      driver.nowMs = 170; // 10 ms a token.
      driver.process();
      driver.run();
      driver.scheduler.resetPrefixCache();
      driver.landsAtOnce = false;
      for (const requestId of ["b", "c"]) driver.add(requestId, tokens(1, 17), { maxTokens: 1 });
      driver.turn();
      // c would load 16 tokens. The job itself has two seconds.
      expect(driver.scheduler.nextDeadlineMs).toBe(170 + 160);
      driver.nowMs = 330;
      expect(driver.turn()[0]).toBe("c@1 0..17 0:[9,10,11,12,13] samples");
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
    });

    test("all waits of a request together have one deadline, whoever makes it wait", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      offload(driver, "a", tokens(1, 9));
      driver.landsAtOnce = false;
      for (const requestId of ["b", "c", "d"]) driver.add(requestId, tokens(1, 9), { maxTokens: 1 });
      driver.turn();
      driver.nowMs = 1500;
      driver.scheduler.abort("b");
      driver.turn();
      // d waits for c now, but its two seconds began with b.
      expect([driver.connector.isDeferred("d"), driver.scheduler.nextDeadlineMs]).toEqual([true, 2000]);
      driver.nowMs = 2000;
      expect(driver.turn()[0]).toMatch(/^d@1 0\.\.9 /);
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
    });
  });
});
