import { describe, expect, test } from "vitest";
import { Driver, MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  describe("the order of the queue", () => {
    test("first come, first served", () => {
      const driver = new Driver(maxInFlightSteps, { maxNumRunning: 1, numBlocks: 5 });
      for (const requestId of ["a", "b", "c"]) driver.add(requestId, 5, { maxTokens: 1 });
      expect(driver.run()).toEqual(
        late
          ? [
              ["a@0 0..5 0:[1,2] samples", "", "3,4"],
              ["", "a 505 length", "2,3,4,1"],
              ["b@0 0..5 0:[2,3] samples", "", "4,1"],
              ["", "b 505 length", "3,4,1,2"],
              ["c@0 0..5 0:[3,4] samples", "", "1,2"],
              ["", "c 505 length", "4,1,2,3"],
            ]
          : [
              ["a@0 0..5 0:[1,2] samples", "a 505 length", "2,3,4,1"],
              ["b@0 0..5 0:[2,3] samples", "b 505 length", "3,4,1,2"],
              ["c@0 0..5 0:[3,4] samples", "c 505 length", "4,1,2,3"],
            ],
      );
    });

    test("lower priority numbers first, ties by arrival", () => {
      const driver = new Driver(maxInFlightSteps, { maxNumRunning: 2, numBlocks: 7 });
      const priorities = { a: 2, b: 1, c: 2, d: 1, e: -3 };
      for (const [requestId, priority] of Object.entries(priorities)) {
        driver.add(requestId, 5, { maxTokens: 1, priority });
      }
      expect(driver.run()).toEqual(
        late
          ? [
              ["e@0 0..5 0:[1,2] samples, b@1 0..5 0:[3,4] samples", "", "5,6"],
              ["", "e 505 length, b 505 length", "4,2,5,6,1,3"],
              ["d@1 0..5 0:[4,2] samples, a@0 0..5 0:[5,6] samples", "", "1,3"],
              ["", "d 505 length, a 505 length", "6,2,1,3,4,5"],
              ["c@0 0..5 0:[6,2] samples", "", "1,3,4,5"],
              ["", "c 505 length", "2,1,3,4,5,6"],
            ]
          : [
              ["e@0 0..5 0:[1,2] samples, b@1 0..5 0:[3,4] samples", "e 505 length, b 505 length", "4,2,5,6,1,3"],
              ["d@1 0..5 0:[4,2] samples, a@0 0..5 0:[5,6] samples", "d 505 length, a 505 length", "6,2,1,3,4,5"],
              ["c@0 0..5 0:[6,2] samples", "c 505 length", "2,1,3,4,5,6"],
            ],
      );
    });

    test("who is passed over for lack of budget, a row or blocks keeps its place", () => {
      const options = { maxNumRunning: 2, numBlocks: 9, maxNumBatchedTokens: 8 };
      const driver = new Driver(maxInFlightSteps, options);
      driver.add("a", 6, { maxTokens: 2 });
      driver.add("b", 10, { maxTokens: 2 });
      driver.add("c", 22, { maxTokens: 1 });
      driver.add("d", 2, { maxTokens: 1 });
      // c waits for a row, then for 6 blocks; d would have fitted all the time.
      expect(driver.run()).toEqual(
        late
          ? [
              ["a@0 0..6 0:[1,2] samples, b@1 0..2 0:[3]", "", "4,5,6,7,8"],
              ["a@0 6..7 last samples, b@1 2..9 1:[4,5]", "a 506", "6,7,8"],
              ["b@1 9..10 samples", "a 507 length", "2,6,7,8,1"],
              ["b@1 10..11 last samples", "b 510", "2,6,7,8,1"],
              ["", "b 511 length", "5,2,6,7,8,1,4,3"],
              ["c@1 0..8 0:[5,2]", "", "6,7,8,1,4,3"],
              ["c@1 8..16 2:[6,7]", "", "8,1,4,3"],
              ["c@1 16..22 4:[8,1] samples, d@0 0..2 0:[4] samples", "", "3"],
              ["", "c 522 length, d 502 length", "4,1,3,8,7,6,2,5"],
            ]
          : [
              ["a@0 0..6 0:[1,2] samples, b@1 0..2 0:[3]", "a 506", "4,5,6,7,8"],
              ["a@0 6..7 samples, b@1 2..9 1:[4,5]", "a 507 length", "2,6,7,8,1"],
              ["b@1 9..10 samples", "b 510", "2,6,7,8,1"],
              ["b@1 10..11 samples", "b 511 length", "5,2,6,7,8,1,4,3"],
              ["c@1 0..8 0:[5,2]", "", "6,7,8,1,4,3"],
              ["c@1 8..16 2:[6,7]", "", "8,1,4,3"],
              ["c@1 16..22 4:[8,1] samples, d@0 0..2 0:[4] samples", "c 522 length, d 502 length", "4,1,3,8,7,6,2,5"],
            ],
      );
    });

    test("preempted and new requests wait in one order of priority, then arrival", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 7 });
      driver.add("a", 11, { maxTokens: 6, priority: 0 });
      driver.add("b", 11, { maxTokens: 6, priority: 1 });
      const [first] = driver.turns(2);
      expect(first[0]).toBe("a@0 0..11 0:[1,2,3] samples, b@1 0..11 0:[4,5,6] samples");
      driver.add("c", 3, { maxTokens: 2, priority: 1 });
      driver.add("d", 3, { maxTokens: 2, priority: 0 });
      // a takes a block of b; then d goes before b, and b before c, which would have fitted beside a and d.
      expect(driver.run()).toEqual(
        late
          ? [
              ["", "a 512", "6,5,4"],
              ["a@0 12..13 3:[6] samples, d@1 0..3 0:[5] samples", "", "4"],
              ["a@0 13..14 last samples, d@1 3..4 last samples", "a 513, d 503", "4"],
              ["a@0 14..15 last samples", "a 514, d 504 length", "4,5"],
              ["a@0 15..16 last samples", "a 515", "4,5"],
              ["", "a 516 length", "4,5,6,3,2,1"],
              ["b@0 4..12 0:[4,5,6] samples, c@1 0..3 0:[3] samples", "", "2,1"],
              ["b@0 12..13 last 3:[2] samples, c@1 3..4 last samples", "b 512, c 503", "1"],
              ["b@0 13..14 last samples", "b 513, c 504 length", "1,3"],
              ["b@0 14..15 last samples", "b 514", "1,3"],
              ["b@0 15..16 last samples", "b 515", "1,3"],
              ["", "b 516 length", "1,3,2,6,5,4"],
            ]
          : [
              ["a@0 12..13 3:[6] samples", "a 513", "5,4"],
              ["a@0 13..14 samples, d@1 0..3 0:[5] samples", "a 514, d 503", "4"],
              ["a@0 14..15 samples, d@1 3..4 samples", "a 515, d 504 length", "4,5"],
              ["a@0 15..16 samples", "a 516 length", "4,5,6,3,2,1"],
              ["b@0 4..13 0:[4,5,6,3] samples, c@1 0..3 0:[2] samples", "b 513, c 503", "1"],
              ["b@0 13..14 samples, c@1 3..4 samples", "b 514, c 504 length", "1,2"],
              ["b@0 14..15 samples", "b 515", "1,2"],
              ["b@0 15..16 samples", "b 516 length", "1,2,3,6,5,4"],
            ],
      );
    });
  });

  describe("admission", () => {
    /** The steps alone, those that only process left out. */
    const steps = (driver: Driver) => driver.run().flatMap(([step]) => step || []);

    test("a head that does not fit keeps small ones behind it waiting, and runs when what runs has ended", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 });
      driver.add("a", 12, { maxTokens: 4 });
      driver.add("b", 24, { maxTokens: 2 });
      driver.add("c", 2, { maxTokens: 2 });
      const last = late ? " last" : "";
      expect(steps(driver)).toEqual([
        "a@0 0..12 0:[1,2,3] samples",
        `a@0 12..13${last} 3:[4] samples`,
        `a@0 13..14${last} samples`,
        `a@0 14..15${last} samples`,
        "b@0 0..24 0:[4,5,6,7,8,3] samples, c@1 0..2 0:[2] samples",
        `b@0 24..25${last} 6:[1] samples, c@1 2..3${last} samples`,
      ]);
      expect(driver.freeBlockIds).toBe("2,1,3,8,7,6,5,4");
    });

    test("two prompts that would fill the cache between them run one after the other: neither wedges", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9, maxNumBatchedTokens: 16, maxPrefillChunkTokens: 8 });
      for (const requestId of ["a", "b"]) driver.add(requestId, 20, { maxTokens: 2 });
      // a needs 6 blocks to its first output, and so does b: 4 of a's are yet to come when b asks.
      const last = late ? " last" : "";
      expect(steps(driver)).toEqual([
        "a@0 0..8 0:[1,2]",
        "a@0 8..16 2:[3,4]",
        "a@0 16..20 4:[5] samples",
        `a@0 20..21${last} 5:[6] samples`,
        "b@0 0..8 0:[6,7]",
        "b@0 8..16 2:[8,5]",
        "b@0 16..20 4:[4] samples",
        `b@0 20..21${last} 5:[3] samples`,
      ]);
      expect(driver.scheduler.stats.numPreemptions).toBe(0);
      expect(driver.freeBlockIds).toBe("3,2,1,4,5,8,7,6");
    });

    test("two prompts that fit together, to the last block, run together", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 13, maxNumBatchedTokens: 16, maxPrefillChunkTokens: 8 });
      for (const requestId of ["a", "b"]) driver.add(requestId, 20, { maxTokens: 2 });
      const last = late ? " last" : "";
      expect(steps(driver)).toEqual([
        "a@0 0..8 0:[1,2], b@1 0..8 0:[3,4]",
        "a@0 8..16 2:[5,6], b@1 8..16 2:[7,8]",
        "a@0 16..20 4:[9] samples, b@1 16..20 4:[10] samples",
        `a@0 20..21${last} 5:[11] samples, b@1 20..21${last} 5:[12] samples`,
      ]);
      expect(driver.freeBlockIds).toBe("12,11,9,6,5,2,1,10,8,7,4,3");
    });

    test("an admission counts the block for the first output: else a decode would have to preempt at once", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 6 });
      for (const requestId of ["a", "b"]) driver.add(requestId, 8, { maxTokens: 2 });
      // 3 blocks each; 4 would do for the prompts alone.
      expect(steps(driver)).toEqual([
        "a@0 0..8 0:[1,2] samples",
        late ? "a@0 8..9 last 2:[3] samples" : "a@0 8..9 2:[3] samples",
        "b@0 0..8 0:[3,4] samples",
        late ? "b@0 8..9 last 2:[5] samples" : "b@0 8..9 2:[5] samples",
      ]);
    });

    test("the watermark stays free when a request is admitted; those that run may use it", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9, admissionWatermark: 0.25 });
      driver.add("a", 11, { maxTokens: 6 });
      driver.add("b", 11, { maxTokens: 2 });
      driver.add("c", 3, { maxTokens: 2 });
      expect(driver.run()).toEqual(
        late
          ? [
              ["a@0 0..11 0:[1,2,3] samples, b@1 0..11 0:[4,5,6] samples", "", "7,8"],
              ["a@0 11..12 last samples, b@1 11..12 last samples", "a 511, b 511", "7,8"],
              ["a@0 12..13 last 3:[7] samples", "a 512, b 512 length", "8,6,5,4"],
              ["a@0 13..14 last samples, c@1 0..3 0:[8] samples", "a 513", "6,5,4"],
              ["a@0 14..15 last samples, c@1 3..4 last samples", "a 514, c 503", "6,5,4"],
              ["a@0 15..16 last samples", "a 515, c 504 length", "6,5,4,8"],
              ["", "a 516 length", "6,5,4,8,7,3,2,1"],
            ]
          : [
              ["a@0 0..11 0:[1,2,3] samples, b@1 0..11 0:[4,5,6] samples", "a 511, b 511", "7,8"],
              ["a@0 11..12 samples, b@1 11..12 samples", "a 512, b 512 length", "7,8,6,5,4"],
              ["a@0 12..13 3:[7] samples, c@1 0..3 0:[8] samples", "a 513, c 503", "6,5,4"],
              ["a@0 13..14 samples, c@1 3..4 samples", "a 514, c 504 length", "6,5,4,8"],
              ["a@0 14..15 samples", "a 515", "6,5,4,8"],
              ["a@0 15..16 samples", "a 516 length", "6,5,4,8,7,3,2,1"],
            ],
      );
    });

    test("alone a request always fits, whatever the watermark", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9, admissionWatermark: 1 });
      driver.add("a", 29, { maxTokens: 3 });
      driver.add("b", 2, { maxTokens: 1 });
      const last = late ? " last" : "";
      expect(steps(driver)).toEqual([
        "a@0 0..29 0:[1,2,3,4,5,6,7,8] samples",
        `a@0 29..30${last} samples`,
        `a@0 30..31${last} samples`,
        "b@0 0..2 0:[8] samples",
      ]);
    });

    test("a prompt longer than the cache is refused with the numbers; one block less and it runs", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
      // 14 + 4 tokens, of which the last is never fed: 17 positions, 5 blocks.
      expect(() => driver.add("a", 14, { maxTokens: 4 })).toThrow(
        expect.objectContaining({
          code: "cache_too_small",
          message: "The request needs up to 5 KV blocks; the cache has 4.",
          data: { numBlocksNeeded: 5, numBlocks: 4 },
        }),
      );
      expect(driver.scheduler.hasUnfinished).toBe(false);
      const request = driver.add("a", 14, { maxTokens: 3 });
      driver.run();
      expect(request.outputTokenIds).toEqual([514, 515, 516]);
      expect(driver.freeBlockIds).toBe("4,3,2,1");
    });

    test("nobody is preempted for a request that waits, of whatever priority: it is the next to be admitted", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
      driver.add("a", 7, { maxTokens: 6 });
      driver.turn();
      driver.add("b", 5, { maxTokens: 1 });
      driver.add("c", 9, { maxTokens: 1, priority: -1 });
      expect(steps(driver).slice(-3)).toEqual([
        late ? "a@0 11..12 last samples" : "a@0 11..12 samples",
        "c@0 0..9 0:[4,3,2] samples",
        "b@0 0..5 0:[2,1] samples",
      ]);
      expect(driver.scheduler.stats.numPreemptions).toBe(0);
    });

    test("a head that is asked in every step is counted once, when it is admitted", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 7 });
      driver.add("a", tokens(1, 9), { maxTokens: 5 });
      const waiting = driver.add("b", [...tokens(1, 8), ...tokens(2, 14)], { maxTokens: 1 });
      driver.turns(3);
      expect([waiting.numCachedTokens, driver.scheduler.stats.numCachedTokens]).toEqual([null, 0]);
      driver.run();
      expect([waiting.numCachedTokens, driver.scheduler.stats.numCachedTokens]).toEqual([8, 8]);
    });
  });
});
