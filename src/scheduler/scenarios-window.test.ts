import { describe, expect, test } from "vitest";
import { Driver, MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  describe("blocks that leave the window", () => {
    test("are given back when the tokens that still see them were processed: at once, or a step later", () => {
      const driver = new Driver(maxInFlightSteps, { windows: [4], numBlocks: 9, maxPrefillChunkTokens: 8 });
      driver.add("a", 20, { maxTokens: 6 });
      expect(driver.run()).toEqual(
        late
          ? [
              ["a@0 0..8 0:[1,2]", "", "3,4,5,6,7,8"],
              ["a@0 8..16 2:[3,4]", "", "5,6,7,8"],
              ["a@0 16..20 4:[5] samples", "", "6,7,8,1"],
              ["a@0 20..21 last 5:[6] samples", "a 520", "7,8,1,3,2"],
              ["a@0 21..22 last samples", "a 521", "7,8,1,3,2,4"],
              ["a@0 22..23 last samples", "a 522", "7,8,1,3,2,4"],
              ["a@0 23..24 last samples", "a 523", "7,8,1,3,2,4"],
              ["a@0 24..25 last 6:[7] samples", "a 524", "8,1,3,2,4,5"],
              ["", "a 525 length", "7,8,1,3,2,4,5,6"],
            ]
          : [
              ["a@0 0..8 0:[1,2]", "", "3,4,5,6,7,8"],
              ["a@0 8..16 2:[3,4]", "", "5,6,7,8,1"],
              ["a@0 16..20 4:[5] samples", "a 520", "6,7,8,1,3,2"],
              ["a@0 20..21 5:[6] samples", "a 521", "7,8,1,3,2,4"],
              ["a@0 21..22 samples", "a 522", "7,8,1,3,2,4"],
              ["a@0 22..23 samples", "a 523", "7,8,1,3,2,4"],
              ["a@0 23..24 samples", "a 524", "7,8,1,3,2,4,5"],
              ["a@0 24..25 6:[7] samples", "a 525 length", "7,8,1,3,2,4,5,6"],
            ],
      );
    });

    test("are not freed again when the request ends with steps in flight; what is left waits for the last of them", () => {
      const driver = new Driver(maxInFlightSteps, { windows: [4], numBlocks: 9 });
      driver.add("a", 8, { maxTokens: 9 });
      driver.turns(2);
      driver.schedule();
      driver.scheduler.abort("a");
      const free = [driver.freeBlockIds];
      while (driver.scheduler.hasUnfinished) {
        expect(driver.process()).toEqual([]);
        free.push(driver.freeBlockIds);
      }
      const kept = "4,5,6,7,8,1";
      expect(free).toEqual([kept, ...(late ? [kept] : []), "3,4,5,6,7,8,1,2"]);
    });

    test("memory stays flat as the context grows", () => {
      const options = { windows: [8], numBlocks: 6, maxPrefillChunkTokens: 4, maxModelLen: 500 };
      const driver = new Driver(maxInFlightSteps, options);
      driver.add("a", 1, { maxTokens: 190 });
      const numsHeld = driver.run().map(([, , free]) => 5 - free.split(",").length);
      // 8 neighbouring tokens touch 3 blocks at most; late, 9 do.
      expect(Math.max(...numsHeld)).toBe(3);
      expect(new Set(numsHeld.slice(20, -1))).toEqual(new Set(late ? [3] : [2, 3]));
    });

    test("are taken before anyone is preempted for a block, also when they are of a request behind", () => {
      const numBlocks = late ? 14 : 10;
      const options = { windows: [4], numBlocks, maxPrefillChunkTokens: 16, maxNumBatchedTokens: 64 };
      const driver = new Driver(maxInFlightSteps, options);
      for (const requestId of ["a", "b", "c"]) driver.add(requestId, 3, { maxTokens: 4 });
      driver.add("d", 36, { maxTokens: 2 });
      driver.turns(2);
      // a, b and c need a block each. Too few are free, but d holds several that no query will see again.
      driver.turn();
      expect(driver.scheduler.stats.numPreemptions).toBe(0);
      driver.run();
    });
  });

  describe("admission", () => {
    test("reserves the window and the chunks in flight, not the context", () => {
      const options = { windows: [4], numBlocks: 10, maxPrefillChunkTokens: 4, maxModelLen: 200 };
      const driver = new Driver(maxInFlightSteps, options);
      for (const requestId of ["a", "b", "c"]) driver.add(requestId, 60, { maxTokens: 2 });
      // 3 + 4 neighbouring tokens touch up to 3 blocks; with two chunks in flight 3 + 8 touch up to 4.
      expect(driver.turns(4)).toEqual([
        ["a@0 0..4 0:[1], b@1 0..4 0:[2]", "", "3,4,5,6,7,8,9"],
        ["a@0 4..8 1:[3], b@1 4..8 1:[4]", "", "5,6,7,8,9"],
        ["a@0 8..12 2:[5], b@1 8..12 2:[6]", "", late ? "7,8,9" : "7,8,9,1,2"],
        ["a@0 12..16 3:[7], b@1 12..16 3:[8]", "", late ? "9,1,2" : "9,1,2,3,4"],
      ]);
      expect(driver.scheduler.numWaiting).toBe(1);
      driver.run();
    });

    test.each([
      { windows: [4], numBlocksNeeded: late ? 4 : 3 },
      { windows: [null], numBlocksNeeded: 16 },
      { windows: [null, 4], numBlocksNeeded: late ? 20 : 19 },
    ])("what a request of 60 tokens can hold at once decides whether it is refused: windows $windows", (row) => {
      const { windows, numBlocksNeeded } = row;
      const options = { windows, maxPrefillChunkTokens: 4 };
      const small = new Driver(maxInFlightSteps, { ...options, numBlocks: numBlocksNeeded });
      expect(() => small.add("a", 60, { maxTokens: 2 })).toThrow(
        expect.objectContaining({
          code: "cache_too_small",
          data: { numBlocksNeeded, numBlocks: numBlocksNeeded - 1 },
        }),
      );
      const driver = new Driver(maxInFlightSteps, { ...options, numBlocks: numBlocksNeeded + 1 });
      const request = driver.add("a", 60, { maxTokens: 2 });
      driver.run();
      expect(request.finishReason).toBe("length");
    });
  });

  describe("hybrid hits", () => {
    test("a prefix whose window is still cached: every group gives what the next query sees", () => {
      const driver = new Driver(maxInFlightSteps, { windows: [null, 8], numBlocks: 15 });
      driver.add("a", tokens(1, 24), { maxTokens: 1 });
      driver.run();
      expect(driver.freeBlockIds).toBe("13,14,6,12,5,11,4,10,3,9,2,8,1,7");
      driver.add("b", [...tokens(1, 8), ...tokens(2, 4)], { maxTokens: 1 });
      expect(driver.turn()).toEqual([
        "b@0 8..12 0:[1,2,13] g1 0:[7,8,14] samples",
        ...(late ? ["", "6,12,5,11,4,10,3,9"] : ["b 512 length", "6,12,5,11,4,10,3,9,13,14,2,8,1,7"]),
      ]);
      driver.run();
    });

    test("full attention has the prefix, the window has lost it: the hit is cut to where all groups have theirs", () => {
      const options = { windows: [null, 8], numBlocks: late ? 15 : 13, maxPrefillChunkTokens: 4 };
      const driver = new Driver(maxInFlightSteps, options);
      driver.add("a", tokens(1, 28), { maxTokens: 2 });
      driver.run();
      // In order: 8 or 4, 6 or 2 hold part of a block; then come what left the window, and all that a held at its end.
      expect(driver.freeBlockIds).toBe(late ? "4,2,6,8,10,13,14,11,12,9,7,5,3,1" : "8,6,10,2,4,11,12,9,7,5,3,1");
      const cut = driver.add("b", [...tokens(1, 8), ...tokens(2, 4)], { maxTokens: 1 });
      driver.turn();
      expect(cut.numCachedTokens).toBe(0);
      driver.scheduler.abort("b");
      driver.run();
      const whole = driver.add("c", [...tokens(1, 28), 3], { maxTokens: 1 });
      const step = driver.turn()[0];
      expect(whole.numCachedTokens).toBe(28);
      expect(step).toBe(
        late
          ? "c@0 28..29 0:[1,3,5,7,9,11,13,4] g1 5:[12,14,6] samples"
          : "c@0 28..29 0:[1,3,5,7,9,11,2,8] g1 5:[12,4,10] samples",
      );
      driver.run();
    });

    test("three groups: preempted, it hits in each group what is left there, and is given other blocks for the rest", () => {
      const driver = new Driver(maxInFlightSteps, { windows: [null, 5, 9], numBlocks: 25 });
      driver.add("a", 11, { maxTokens: 3 });
      const victim = driver.add("b", 15, { maxTokens: 4, priority: 1 });
      driver.add("c", 3, { maxTokens: 3 });
      expect(driver.turn()[0]).toBe(
        "a@0 0..11 0:[1,2,3] g1 0:[4,5,6] g2 0:[7,8,9] samples, " +
          "c@1 0..3 0:[10] g1 0:[11] g2 0:[12] samples, " +
          "b@2 0..15 0:[13,14,15,16] g1 0:[17,18,19,20] g2 0:[21,22,23,24] samples",
      );
      const turns = driver.run();
      const resumed = turns.findIndex(([step]) => step.startsWith("b@"));
      expect(turns[resumed - 1][2]).toBe(
        late
          ? "17,18,4,24,15,19,23,14,22,13,5,7,3,6,9,2,8,1"
          : "7,5,21,17,18,4,19,22,16,20,24,15,23,14,13,3,6,9,2,8,1,10,11,12",
      );
      expect(turns.slice(resumed).map(([step]) => step)).toEqual(
        late
          ? [
              "b@0 12..16 0:[13,14,15,17] g1 2:[19,18] g2 1:[22,23,4] samples",
              "b@0 16..17 last 4:[20] g1 4:[16] g2 4:[21] samples",
              "b@0 17..18 last samples",
              "",
            ]
          : ["b@1 16..17 0:[13,14,15,16,7] g1 3:[20,5] g2 2:[23,24,21] samples", "b@1 17..18 samples"],
      );
      expect(victim.outputTokenIds).toEqual([515, 516, 517, 518]);
    });
  });
});
