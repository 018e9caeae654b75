import { describe, expect, test } from "vitest";
import type { RequestOptions } from "./request";
import { Driver, MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  /** Runs one request alone for one id; its only step, and the free queue when it has ended. */
  function runAlone(driver: Driver, prompt: readonly number[], options: Partial<RequestOptions> = {}): string[] {
    driver.add("x", prompt, { maxTokens: 1, ...options });
    const steps = driver.run().flatMap(([step]) => step || []);
    return [...steps, driver.freeBlockIds];
  }

  describe("hits", () => {
    test("a prompt of full blocks computes its last block again: without a token there are no logits", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 7 });
      expect(runAlone(driver, tokens(1, 8))).toEqual(["x@0 0..8 0:[1,2] samples", "3,4,5,6,2,1"]);
      // Block 3 holds what block 2 holds; it gets no name, and is handed out next.
      expect(runAlone(driver, tokens(1, 8))).toEqual(["x@0 4..8 0:[1,3] samples", "3,4,5,6,2,1"]);
      expect(runAlone(driver, tokens(1, 9))).toEqual(["x@0 8..9 0:[1,2,3] samples", "3,4,5,6,2,1"]);
    });

    test("requests share a prefix within a step, and with its step in flight: it is computed once", () => {
      const driver = new Driver(maxInFlightSteps);
      for (const [requestId, last] of Object.entries({ a: 1, b: 2 })) {
        driver.add(requestId, [...tokens(1, 12), last], { maxTokens: 2 });
      }
      const [first] = driver.turns(1);
      driver.add("c", [...tokens(1, 12), 3], { maxTokens: 2 });
      const [second] = driver.turns(1);
      const last = late ? " last" : "";
      expect([first[0], second[0]]).toEqual([
        "a@0 0..13 0:[1,2,3,4] samples, b@1 12..13 0:[1,2,3,5] samples",
        `a@0 13..14${last} samples, b@1 13..14${last} samples, c@2 12..13 0:[1,2,3,6] samples`,
      ]);
      driver.run();
      // Blocks 1 to 3 are given back by the last of the three.
      expect(driver.freeBlockIds).toBe("6,5,4,7,8,9,10,11,12,13,14,15,16,3,2,1");
      expect(driver.scheduler.stats).toMatchObject({ numScheduledTokens: 13 + 1 + 1 + 3, numCachedTokens: 12 + 12 });
    });

    test("a second turn hits the first one's prompt and answer, but for under two blocks", () => {
      const driver = new Driver(maxInFlightSteps);
      const first = driver.add("a", tokens(1, 6), { maxTokens: 8 });
      const turns = driver.run();
      const [, updates, free] = turns.at(-1)!;
      expect([updates, free]).toEqual(["a 513 length", "4,5,6,7,8,9,10,11,12,13,14,15,16,3,2,1"]);
      const chat = [...first.promptTokenIds, ...first.outputTokenIds];
      const second = driver.add("b", [...chat, ...tokens(2, 3)], { maxTokens: 1 });
      expect(driver.run()[0][0]).toBe("b@0 12..17 0:[1,2,3,4,5] samples");
      expect([chat.length, second.numCachedTokens]).toEqual([14, 12]);
    });

    test("a decode's block can be hit in the step that feeds its last id, or when that id becomes known, if later", () => {
      const hits = [1, 2, 3].map((numTurns) => {
        const driver = new Driver(maxInFlightSteps);
        driver.add("a", tokens(1, 6), { maxTokens: 9 });
        driver.turns(numTurns);
        const request = driver.add("b", [...tokens(1, 6), 506, 507, 508], { maxTokens: 1 });
        driver.schedule();
        driver.run();
        return request.numCachedTokens;
      });
      // Position 7 is fed by the third step; its id is known after two steps were processed.
      expect(hits).toEqual(late ? [4, 4, 8] : [4, 8, 8]);
    });

    test.each([
      { name: "the same salt", first: "a", second: "a", numCached: 8 },
      { name: "another salt", first: "a", second: "b", numCached: 0 },
      { name: "a salt and none", first: "a", second: null, numCached: 0 },
      { name: "an empty salt and none", first: "", second: null, numCached: 0 },
      { name: "none and none", first: null, second: null, numCached: 8 },
    ])("salts keep caches apart: $name", ({ first, second, numCached }) => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 });
      runAlone(driver, tokens(1, 9), { cacheSalt: first });
      const request = driver.add("b", tokens(1, 9), { cacheSalt: second });
      driver.turn();
      expect(request.numCachedTokens).toBe(numCached);
      driver.run();
    });

    test("a request that opts out neither hits nor leaves anything; others go on hitting", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 });
      expect(runAlone(driver, tokens(1, 9))).toEqual(["x@0 0..9 0:[1,2,3] samples", "3,4,5,6,7,8,2,1"]);
      const optOut = { usePrefixCache: false };
      expect(runAlone(driver, tokens(1, 9), optOut)).toEqual(["x@0 0..9 0:[3,4,5] samples", "3,4,5,6,7,8,2,1"]);
      expect(runAlone(driver, tokens(2, 9), optOut)).toEqual(["x@0 0..9 0:[3,4,5] samples", "3,4,5,6,7,8,2,1"]);
      expect(runAlone(driver, tokens(2, 9))).toEqual(["x@0 0..9 0:[3,4,5] samples", "5,6,7,8,2,1,4,3"]);
      expect(runAlone(driver, tokens(1, 9))).toEqual(["x@0 8..9 0:[1,2,5] samples", "5,6,7,8,4,3,2,1"]);
    });

    test("a scheduler without a prefix cache never hits, and hands the same blocks out again", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 5, usePrefixCache: false });
      const expected = ["x@0 0..9 0:[1,2,3] samples", "1,2,3,4"];
      expect([runAlone(driver, tokens(1, 9)), runAlone(driver, tokens(1, 9))]).toEqual([expected, expected]);
    });
  });

  describe("eviction", () => {
    test("a block that is handed out again loses its hash: its old prompt is cut there, its new one hits", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
      expect(runAlone(driver, tokens(1, 13))).toEqual(["x@0 0..13 0:[1,2,3,4] samples", "4,3,2,1"]);
      expect(runAlone(driver, tokens(2, 8))).toEqual(["x@0 0..8 0:[4,3] samples", "2,1,3,4"]);
      expect(runAlone(driver, tokens(1, 13))).toEqual(["x@0 8..13 0:[1,2,3,4] samples", "4,3,2,1"]);
      expect(runAlone(driver, tokens(2, 8))).toEqual(["x@0 0..8 0:[4,3] samples", "2,1,3,4"]);
    });

    test("uncached blocks go first, then the prompt used longest ago, its tail before its head", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 });
      expect(runAlone(driver, tokens(1, 9))).toEqual(["x@0 0..9 0:[1,2,3] samples", "3,4,5,6,7,8,2,1"]);
      expect(runAlone(driver, tokens(2, 12))).toEqual(["x@0 0..12 0:[3,4,5] samples", "6,7,8,2,1,5,4,3"]);
      // A hit makes the first prompt recent again.
      expect(runAlone(driver, tokens(1, 9))).toEqual(["x@0 8..9 0:[1,2,6] samples", "6,7,8,5,4,3,2,1"]);
      expect(runAlone(driver, tokens(3, 16))).toEqual(["x@0 0..16 0:[6,7,8,5] samples", "4,3,2,1,5,8,7,6"]);
      expect(runAlone(driver, tokens(2, 12))).toEqual(["x@0 8..12 0:[3,4,2] samples", "1,5,8,7,6,2,4,3"]);
    });

    test("blocks that are hit are never the ones that are handed out for the rest", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
      expect(runAlone(driver, tokens(1, 12))).toEqual(["x@0 0..12 0:[1,2,3] samples", "4,3,2,1"]);
      // Blocks 1 and 2 are free, and all but one of the others are needed too.
      expect(runAlone(driver, [...tokens(1, 8), ...tokens(2, 8)])).toEqual([
        "x@0 8..16 0:[1,2,4,3] samples",
        "3,4,2,1",
      ]);
    });

    test("while blocks are short, the hit blocks of who waits are not touched: the queue keeps its order", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 });
      runAlone(driver, tokens(1, 13));
      driver.add("b", tokens(2, 13), { maxTokens: 4 });
      expect(driver.turn()[2]).toBe("8,3,2,1");
      driver.add("c", [...tokens(1, 12), ...tokens(3, 8)], { maxTokens: 2 });
      // c hits 3 free blocks and needs 3 more; one is free beside them.
      const waits = driver.turns(3).map(([, , free]) => free);
      expect(waits).toEqual(["8,3,2,1", "8,3,2,1", late ? "8,3,2,1" : "8,3,2,1,7,6,5,4"]);
      expect(driver.run().flatMap(([step]) => step || [])[0]).toBe("c@0 12..20 0:[1,2,3,8,7] samples");
    });
  });

  describe("reset", () => {
    test("forgets all, and frees or moves nothing", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
      expect(runAlone(driver, tokens(1, 9))).toEqual(["x@0 0..9 0:[1,2,3] samples", "3,4,2,1"]);
      driver.scheduler.resetPrefixCache();
      expect(driver.freeBlockIds).toBe("3,4,2,1");
      expect(runAlone(driver, tokens(1, 9))).toEqual(["x@0 0..9 0:[3,4,2] samples", "2,1,4,3"]);
    });

    test("with steps in flight: who runs keeps its blocks, and only what is computed afterwards is cached", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 });
      driver.add("a", tokens(1, 9), { maxTokens: 5 });
      driver.turn();
      driver.schedule();
      driver.scheduler.resetPrefixCache();
      driver.process();
      driver.add("b", tokens(1, 9), { maxTokens: 1 });
      expect(driver.run()).toEqual(
        late
          ? [
              ["a@0 10..11 last samples, b@1 0..9 0:[4,5,6] samples", "a 510", "7,8"],
              ["a@0 11..12 last samples", "a 511, b 509 length", "6,7,8,5,4"],
              ["a@0 12..13 last 3:[6] samples", "a 512", "7,8,5,4"],
              ["", "a 513 length", "1,2,6,7,8,5,4,3"],
            ]
          : [
              ["a@0 10..11 samples, b@1 0..9 0:[4,5,6] samples", "a 511, b 509 length", "6,7,8,5,4"],
              ["a@0 11..12 samples", "a 512", "6,7,8,5,4"],
              ["a@0 12..13 3:[6] samples", "a 513 length", "1,2,6,7,8,5,4,3"],
            ],
      );
      expect(runAlone(driver, tokens(1, 9))[0]).toBe("x@0 8..9 0:[4,5,1] samples");
    });
  });
});
