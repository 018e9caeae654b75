import { describe, expect, test } from "vitest";
import { makeOffloadPolicy } from "../offload/offload-policy";
import { OffloadDriver } from "./offload-driver.fixture";
import { work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;
  const last = late ? " last" : "";

  describe("one request with blocks of the GPU, chunks of the host, and new tokens", () => {
    test("the GPU has the head, the host what follows: only that is loaded", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 9 });
      driver.add("a", tokens(1, 21), { maxTokens: 2 });
      driver.run();
      // Tails go first: blocks 5 and 4 are lost, 1 to 3 are left.
      driver.add("b", 20, { maxTokens: 1, usePrefixCache: false });
      driver.run();
      const request = driver.add("c", [...tokens(1, 20), 7, 8, 9], { maxTokens: 2 });
      expect(driver.run().slice(0, 2)).toEqual([
        ["", "load a3 -> 6 a4 -> 7", "", "8,5,4"],
        ["c@0 20..23 0:[1,2,3,6,7,8] samples", "", late ? "" : "c 523", "5,4"],
      ]);
      expect([request.numCachedTokens, request.numExternalTokens]).toEqual([20, 8]);
      expect(driver.scheduler.stats).toMatchObject({ numCachedTokens: 20, numExternalTokens: 8 });
    });

    test("the GPU has head and tail, the host the middle: the loaded block stands between the others", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 21, numStagingSlots: 1 });
      driver.add("a", tokens(1, 20), { maxTokens: 2 });
      driver.run();
      // Block after block came free with its store, one a step. Who hits the head moves it behind the others.
      driver.add("x", [...tokens(1, 4), 9], { maxTokens: 1 });
      driver.run();
      expect(driver.freeBlockIds).toBe("6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,2,3,4,5,1");
      driver.add("y", 64, { maxTokens: 1, usePrefixCache: false });
      driver.run();
      const request = driver.add("c", [...tokens(1, 20), 7, 8], { maxTokens: 1 });
      expect(work(driver.turns(2))).toEqual([
        ["", "load a1 -> 6"],
        ["c@0 20..22 0:[1,6,3,4,5,7] samples", ""],
      ]);
      driver.run();
      // The prefix that the GPU has by itself ends at 4, but no more than one block's tokens were loaded.
      expect([request.numCachedTokens, request.numExternalTokens]).toEqual([20, 4]);
      expect(driver.connector.stats.numBlocksLoaded).toBe(1);
    });
  });

  test("with windows: blocks that have left are not stored, those of the last window are, and serve there alone", () => {
    const policy = makeOffloadPolicy("storeOnFinish");
    const driver = new OffloadDriver(maxInFlightSteps, {
      windows: [null, 4],
      numBlocks: 33,
      maxPrefillChunkTokens: 8,
      policy,
    });
    driver.add("a", tokens(1, 20), { maxTokens: 2 });
    driver.run();
    expect(driver.lookup("a0", "a1", "a2", "a3", "a4")).toBe("hit hit hit hit hit");
    expect(driver.lookup("a0/1", "a1/1", "a2/1", "a3/1", "a4/1")).toBe("miss miss miss miss hit");
    driver.scheduler.resetPrefixCache();
    const whole = driver.add("b", [...tokens(1, 20), 7], { maxTokens: 1 });
    // The window's table begins with null blocks; nothing is loaded for these.
    expect(driver.run()[0][1]).toMatch(/^load a0 -> \d+ a1 -> \d+ a2 -> \d+ a3 -> \d+ a4 -> \d+ a4\/1 -> \d+$/);
    driver.scheduler.resetPrefixCache();
    const cut = driver.add("c", [...tokens(1, 12), 7], { maxTokens: 1 });
    driver.run();
    expect([whole.numExternalTokens, cut.numExternalTokens]).toEqual([20, 0]);
  });

  test("a prompt in several steps: each chunk is stored out of the blocks that it lies in, when the last is computed", () => {
    const options = { numBlocks: 12, blocksPerChunk: 2, maxPrefillChunkTokens: 4, maxNumBatchedTokens: 8 };
    const driver = new OffloadDriver(maxInFlightSteps, options);
    driver.add("x", 4, { maxTokens: 6 });
    driver.turn();
    driver.add("a", tokens(1, 21), { maxTokens: 3 });
    const turns = driver.run();
    expect(work(turns).slice(0, 5)).toEqual([
      [`x@0 4..5${last} 1:[2] samples, a@1 0..4 0:[3]`, ""],
      [`x@0 5..6${last} samples, a@1 4..8 1:[4]`, ""],
      [`x@0 6..7${last} samples, a@1 8..12 2:[5]`, "store a0 <- 3,4"],
      [`x@0 7..8${last} samples, a@1 12..16 3:[6]`, ""],
      [`x@0 8..9${last} 2:[7] samples, a@1 16..20 4:[8]`, "store x0 <- 1,2, store a1 <- 5,6"],
    ]);
    driver.scheduler.resetPrefixCache();
    const request = driver.add("b", tokens(1, 21), { maxTokens: 1 });
    driver.run();
    expect(request.numExternalTokens).toBe(16);
  });

  test("reset between store and load: the answer is the same, with the prompt computed once", () => {
    const sample = (_: string, position: number) => 100 + ((position * position) % 37);
    const driver = new OffloadDriver(maxInFlightSteps, { sample });
    const cold = driver.add("a", tokens(1, 22), { maxTokens: 9 });
    driver.run();
    const { numScheduledTokens } = driver.scheduler.stats;
    driver.scheduler.resetPrefixCache();
    const warm = driver.add("b", tokens(1, 22), { maxTokens: 9 });
    driver.run();
    expect(warm.outputTokenIds).toEqual(cold.outputTokenIds);
    expect([numScheduledTokens, driver.scheduler.stats.numScheduledTokens - numScheduledTokens]).toEqual([30, 10]);
  });
});
