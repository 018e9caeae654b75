import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  /** a's three chunks are in the host tier, and nowhere else. */
  function withChunksOfA(options: ConstructorParameters<typeof OffloadDriver>[1] = {}): OffloadDriver {
    const driver = new OffloadDriver(maxInFlightSteps, options);
    offload(driver, "a", tokens(1, 13));
    return driver;
  }

  describe("what is loaded", () => {
    test("a hit of all chunks: one step copies, the next computes what is left", () => {
      const driver = withChunksOfA();
      const request = driver.add("b", tokens(1, 13), { maxTokens: 2 });
      expect(work(driver.run())).toEqual([
        ["", "load a0 -> 4 a1 -> 5 a2 -> 6"],
        ["b@0 12..13 0:[4,5,6,7] samples", ""],
        [late ? "b@0 13..14 last samples" : "b@0 13..14 samples", ""],
      ]);
      expect([request.numCachedTokens, request.numExternalTokens]).toEqual([12, 12]);
    });

    test("a prompt of full chunks is loaded but for its last: without a token there are no logits", () => {
      const driver = withChunksOfA();
      driver.add("b", tokens(1, 12), { maxTokens: 1 });
      expect(work(driver.run())).toEqual([
        ["", "load a0 -> 4 a1 -> 5"],
        ["b@0 8..12 0:[4,5,6] samples", ""],
      ]);
    });

    test("less than a chunk: the tier is not even asked", () => {
      const driver = withChunksOfA();
      const asked: string[] = [];
      const lookup = driver.manager.lookup.bind(driver.manager);
      driver.manager.lookup = (key) => {
        asked.push(driver.nameOf(key));
        return lookup(key);
      };
      driver.add("b", tokens(1, 4), { maxTokens: 1 });
      driver.schedule();
      expect(asked).toEqual([]);
      driver.run();
    });

    test("no hit: it computes", () => {
      const driver = withChunksOfA();
      driver.add("b", 9, { maxTokens: 1 });
      expect(work(driver.turns(1))).toEqual([["b@0 0..9 0:[4,5,6] samples", ""]]);
      driver.run();
    });

    test("one chunk that others share: the rest is computed, and stored", () => {
      const driver = withChunksOfA();
      driver.add("b", [...tokens(1, 4), ...tokens(2, 5)], { maxTokens: 1 });
      expect(work(driver.run())).toEqual([
        ["", "load a0 -> 4"],
        ["b@0 4..9 0:[4,5,6] samples", ""],
        ["", "store b1 <- 5"],
      ]);
    });

    test("a chunk that is missing ends the prefix, though the tier has the one behind it", () => {
      const driver = withChunksOfA();
      driver.manager.discard([driver.keyOf("a1")]);
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(copies(driver.turns(1))).toEqual(["load a0 -> 4"]);
      driver.run();
    });

    test("where the GPU has the beginning, the load starts behind it", () => {
      const driver = withChunksOfA();
      driver.add("g", [...tokens(1, 4), 7], { maxTokens: 1 });
      driver.run();
      const request = driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(work(driver.run())).toEqual([
        ["", "load a1 -> 5 a2 -> 6"],
        ["b@0 12..13 0:[4,5,6,7] samples", ""],
      ]);
      expect([request.numCachedTokens, request.numExternalTokens]).toEqual([12, 8]);
    });

    test("chunks of several blocks: those that the GPU lacks are loaded, from the middle of a chunk on", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { blocksPerChunk: 2 });
      offload(driver, "a", tokens(1, 17));
      // g does not know all of the second chunk, so that it cannot name it; it computes its first block.
      driver.add("g", [...tokens(1, 12), 7], { maxTokens: 1 });
      expect(copies(driver.turns(1))).toEqual(["load a0[0] -> 5 a0[1] -> 6"]);
      driver.run();
      driver.add("b", tokens(1, 17), { maxTokens: 1 });
      expect(copies(driver.turns(1))).toEqual(["load a1[1] -> 8"]);
      driver.run();
    });

    test("opting out of the prefix cache: nothing is loaded, though it is there", () => {
      const driver = withChunksOfA();
      driver.add("b", tokens(1, 13), { maxTokens: 1, usePrefixCache: false });
      expect(work(driver.run())).toEqual([["b@0 0..13 0:[4,5,6,7] samples", ""]]);
    });

    test("salts keep tiers apart: none, one's own, another's", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      offload(driver, "a", tokens(1, 9), { cacheSalt: "x" });
      for (const [requestId, cacheSalt] of [
        ["b", null],
        ["c", "y"],
      ] as const) {
        driver.add(requestId, tokens(1, 9), { maxTokens: 1, cacheSalt });
        expect(driver.turn()[0], requestId).toContain("0..9");
        driver.run();
      }
      driver.add("d", tokens(1, 9), { maxTokens: 1, cacheSalt: "x" });
      expect(copies(driver.run())).toEqual(["load a0 -> 7 a1 -> 8"]);
    });
  });

  describe("while it loads", () => {
    test("its blocks are its own: what has not arrived cannot be hit, what has arrived can", () => {
      const driver = withChunksOfA({ maxBlocksPerStep: 1 });
      driver.landsAtOnce = false;
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      expect(driver.scheduler.numCachedBlocks).toBe(0);
      driver.landAll();
      expect([driver.scheduler.numCachedBlocks, driver.scheduler.numLoading]).toEqual([1, 1]);
      driver.landsAtOnce = true;
      driver.run();
    });

    test("slots that it reads are pinned: nobody is stored over them", () => {
      const driver = withChunksOfA({ numSlots: 3 });
      driver.landsAtOnce = false;
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.add("c", 9, { maxTokens: 1 });
      driver.turns(3);
      expect(driver.connector.stats.host).toMatchObject({ numPinnedSlots: 3, numRefusedNoSlot: 2 });
      driver.landsAtOnce = true;
      driver.landAll();
      driver.run();
      expect(driver.lookup("a0", "a1", "a2")).toBe("hit hit hit");
    });

    test("abort: its blocks come free at once, its slots when its job is heard of", () => {
      const driver = withChunksOfA();
      driver.landsAtOnce = false;
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      driver.scheduler.abort("b");
      expect(driver.scheduler.numFreeBlocks).toBe(16);
      expect(driver.connector.stats.host.numPinnedSlots).toBe(3);
      // The queue writes what others compute into these blocks behind the copy.
      driver.add("c", 9, { maxTokens: 1 });
      expect(driver.turn()[0]).toBe("c@0 0..9 0:[4,5,6] samples");
      driver.landAll();
      expect(driver.connector.stats.host.numPinnedSlots).toBe(0);
      expect(driver.scheduler.numCachedBlocks).toBe(2);
      driver.landsAtOnce = true;
      driver.run();
    });

    test("abort when all has arrived, before it runs: what was brought can be hit", () => {
      const driver = withChunksOfA();
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      driver.scheduler.abort("b");
      driver.add("c", tokens(1, 13), { maxTokens: 1 });
      expect(work(driver.run())).toEqual([["c@0 12..13 0:[4,5,6,7] samples", ""]]);
    });
  });

  describe("a load that fails", () => {
    test("ends before the first bad block: what came before it is a hit, the rest is computed", () => {
      const driver = withChunksOfA();
      driver.isGoodBlock = ({ slotId }) => driver.transfers.keyOfSlot(slotId) !== driver.keyOf("a1");
      const request = driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(work(driver.run())).toEqual([
        ["", "load a0 -> 4 a1 -> 5 a2 -> 6"],
        ["b@0 4..13 0:[4,5,6,7] samples", ""],
      ]);
      expect([request.numCachedTokens, driver.connector.stats.numLoadsFailed]).toEqual([4, 1]);
    });

    test("nothing arrived: it computes all, and does not ask for ever", () => {
      const driver = withChunksOfA();
      driver.isGoodBlock = () => false;
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      expect(work(driver.run()).map(([step]) => step)).toEqual(["", "b@0 0..13 0:[4,5,6,7] samples"]);
    });

    test("the chunk is a miss for that request for good, also when it was preempted, but a hit for another", () => {
      const driver = withChunksOfA();
      driver.isGoodBlock = ({ slotId }) => driver.transfers.keyOfSlot(slotId) !== driver.keyOf("a1");
      const request = driver.add("b", tokens(1, 13), { maxTokens: 3, priority: 1 });
      driver.turns(2);
      // It begins again on another device, with what the tier has.
      driver.loseDevice();
      expect(request.status).toBe("preempted");
      driver.isGoodBlock = () => true;
      expect(copies(driver.turns(1))).toEqual(["load a0 -> 1"]);
      driver.add("c", tokens(1, 13), { maxTokens: 1 });
      driver.run();
      driver.scheduler.resetPrefixCache();
      driver.add("d", tokens(1, 13), { maxTokens: 1 });
      expect(copies(driver.turns(1))[0]).toMatch(/^load a0 -> \d+ a1 -> \d+ a2 -> \d+$/);
      driver.run();
    });

    test("a job that is silent for two seconds has failed; its slots stay pinned until it speaks", () => {
      const driver = withChunksOfA();
      driver.landsAtOnce = false;
      driver.add("b", tokens(1, 13), { maxTokens: 1 });
      driver.turn();
      expect(driver.scheduler.nextDeadlineMs).toBe(2000);
      driver.nowMs = 1999;
      expect(driver.turn()[0]).toBe("");
      driver.nowMs = 2000;
      expect(driver.turn()[0]).toMatch(/^b@0 0\.\.13 /);
      expect(driver.connector.stats.host.numPinnedSlots).toBe(3);
      driver.landAll();
      expect(driver.connector.stats.host.numPinnedSlots).toBe(0);
      driver.run();
    });
  });
});
