import { describe, expect, test } from "vitest";
import { Driver, EOS, MODES, type Sampler, tokens } from "./scheduler.fixture";

/** Like all others, but for one position. */
function sampleAt(position: number, tokenId: number | null, of = "a"): Sampler {
  return (requestId, at) => (requestId === of && at === position ? tokenId : 500 + at);
}

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  describe("abort", () => {
    test("while it waits: it never runs, and the others keep their order", () => {
      const driver = new Driver(maxInFlightSteps, { maxNumRunning: 1, numBlocks: 5 });
      const requests = ["a", "b", "c"].map((requestId) => driver.add(requestId, 5, { maxTokens: 1 }));
      driver.turn();
      expect(driver.scheduler.abort("b")).toBe(true);
      expect(driver.run().flatMap(([step]) => step || [])).toEqual(["c@0 0..5 0:[2,3] samples"]);
      expect(requests.map(({ finishReason }) => finishReason)).toEqual(["length", "abort", "length"]);
      expect(driver.freeBlockIds).toBe("3,4,1,2");
    });

    test("in mid-prefill: what it computed stays in the cache, and the next one with that prompt hits it", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9, maxNumBatchedTokens: 8, maxPrefillChunkTokens: 4 });
      driver.add("a", tokens(1, 14));
      driver.add("b", 6, { maxTokens: 2 });
      expect(driver.turns(2).map(([step]) => step)).toEqual([
        "a@0 0..4 0:[1], b@1 0..4 0:[2]",
        "a@0 4..8 1:[3], b@1 4..6 1:[4] samples",
      ]);
      driver.scheduler.abort("a");
      expect(driver.freeBlockIds).toBe(late ? "5,6,7,8" : "5,6,7,8,3,1");
      expect(driver.run()).toEqual(
        late
          ? [
              ["b@1 6..7 last samples", "b 506", "5,6,7,8,3,1"],
              ["", "b 507 length", "4,5,6,7,8,3,1,2"],
            ]
          : [["b@1 6..7 samples", "b 507 length", "4,5,6,7,8,3,1,2"]],
      );
      driver.add("c", tokens(1, 14), { maxTokens: 1 });
      expect(driver.run().flatMap(([step]) => step || [])).toEqual(["c@1 8..12 0:[1,3,4]", "c@1 12..14 3:[5] samples"]);
    });

    test("with steps in flight: their output is dropped, the neighbour's is not", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 });
      const request = driver.add("a", 6, { maxTokens: 5 });
      driver.add("b", 6, { maxTokens: 3 });
      driver.turn();
      driver.schedule();
      expect(driver.scheduler.abort("a")).toBe(true);
      expect(driver.scheduler.abort("a")).toBe(false);
      expect(driver.freeBlockIds).toBe("5,6,7,8");
      expect(driver.process()).toEqual([late ? "b 506" : "b 507"]);
      expect(driver.run()).toEqual(
        late
          ? [
              ["b@1 7..8 last samples", "b 507", "2,5,6,7,8,1"],
              ["", "b 508 length", "2,5,6,7,8,1,4,3"],
            ]
          : [["b@1 7..8 samples", "b 508 length", "2,5,6,7,8,1,4,3"]],
      );
      expect([request.status, request.finishReason]).toEqual(["finished", "abort"]);
      expect(request.outputTokenIds).toEqual(late ? [] : [506]);
    });

    test("while preempted: it leaves the queue, its old blocks come back when their steps have landed", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
      driver.add("a", 7, { maxTokens: 4 });
      const request = driver.add("b", 7, { maxTokens: 4 });
      driver.turns(2);
      driver.schedule();
      expect(request.status).toBe("preempted");
      driver.scheduler.abort("b");
      expect([request.status, driver.scheduler.numWaiting, driver.freeBlockIds]).toEqual([
        "finished",
        0,
        late ? "" : "3",
      ]);
      expect(driver.process()).toEqual([late ? "a 508" : "a 509"]);
      expect(driver.freeBlockIds).toBe(late ? "4,3" : "3");
      driver.run();
      expect(driver.freeBlockIds).toBe("4,3,2,1");
      expect(request.outputTokenIds).toEqual(late ? [507] : [507, 508]);
    });
  });

  describe("a last token", () => {
    test("EOS: nothing after it is kept, though a step more was in flight", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 }, sampleAt(8, EOS));
      const request = driver.add("a", 7, { maxTokens: 9 });
      expect(driver.run()).toEqual(
        late
          ? [
              ["a@0 0..7 0:[1,2] samples", "", "3,4,5,6,7,8"],
              ["a@0 7..8 last samples", "a 507", "3,4,5,6,7,8"],
              ["a@0 8..9 last 2:[3] samples", "a 2 stop", "4,5,6,7,8"],
              ["", "", "3,4,5,6,7,8,2,1"],
            ]
          : [
              ["a@0 0..7 0:[1,2] samples", "a 507", "3,4,5,6,7,8"],
              ["a@0 7..8 samples", "a 2 stop", "3,4,5,6,7,8,2,1"],
            ],
      );
      expect(request.outputTokenIds).toEqual([507, EOS]);
    });

    test("a block that ends with it is cached exactly when a step has fed it: then its KV exists", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 }, sampleAt(7, EOS));
      driver.add("a", tokens(1, 5), { maxTokens: 9 });
      driver.run();
      expect(driver.freeBlockIds).toBe(late ? "3,4,5,6,7,8,2,1" : "2,3,4,5,6,7,8,1");
      const next = driver.add("b", [...tokens(1, 5), 505, 506, EOS, 1, 2], { maxTokens: 1 });
      expect(driver.run()[0][0]).toBe(late ? "b@0 8..10 0:[1,2,3] samples" : "b@0 4..10 0:[1,2,3] samples");
      expect(next.numCachedTokens).toBe(late ? 8 : 4);
    });

    test("at max_tokens: no step is scheduled that could not count", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 });
      const request = driver.add("a", 7, { maxTokens: 2 });
      expect(driver.run()).toEqual(
        late
          ? [
              ["a@0 0..7 0:[1,2] samples", "", "3,4,5,6,7,8"],
              ["a@0 7..8 last samples", "a 507", "3,4,5,6,7,8"],
              ["", "a 508 length", "3,4,5,6,7,8,2,1"],
            ]
          : [
              ["a@0 0..7 0:[1,2] samples", "a 507", "3,4,5,6,7,8"],
              ["a@0 7..8 samples", "a 508 length", "3,4,5,6,7,8,2,1"],
            ],
      );
      expect(request.outputTokenIds).toEqual([507, 508]);
      expect(driver.scheduler.stats).toMatchObject({ numSteps: 2, numScheduledTokens: 8 });
    });

    test("a stop string, found while a step is in flight: finish() keeps what was known", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 });
      const request = driver.add("a", 7, { maxTokens: 9 });
      driver.turns(2);
      driver.schedule();
      expect(driver.scheduler.finish("a", "stop")).toBe(true);
      expect(driver.freeBlockIds).toBe("4,5,6,7,8");
      const updates = late ? [driver.process(), driver.process()] : [driver.process()];
      expect(updates.flat()).toEqual([]);
      expect(driver.freeBlockIds).toBe("3,4,5,6,7,8,2,1");
      expect([request.outputTokenIds, request.finishReason]).toEqual([late ? [507] : [507, 508], "stop"]);
      expect(driver.scheduler.hasUnfinished).toBe(false);
    });
  });

  describe("logits that are not finite", () => {
    test("end that request alone, and take its blocks out of the cache", () => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 9 }, sampleAt(10, null));
      driver.add("a", tokens(1, 9), { maxTokens: 5 });
      driver.add("b", tokens(1, 9), { maxTokens: 5 });
      expect(driver.run()).toEqual(
        late
          ? [
              ["a@0 0..9 0:[1,2,3] samples, b@1 8..9 0:[1,2,4] samples", "", "5,6,7,8"],
              ["a@0 9..10 last samples, b@1 9..10 last samples", "a 509, b 509", "5,6,7,8"],
              ["a@0 10..11 last samples, b@1 10..11 last samples", "a error, b 510", "5,6,7,8"],
              ["b@1 11..12 last samples", "b 511", "3,5,6,7,8"],
              ["b@1 12..13 last 3:[3] samples", "b 512", "5,6,7,8"],
              ["", "b 513 length", "1,2,3,5,6,7,8,4"],
            ]
          : [
              ["a@0 0..9 0:[1,2,3] samples, b@1 8..9 0:[1,2,4] samples", "a 509, b 509", "5,6,7,8"],
              ["a@0 9..10 samples, b@1 9..10 samples", "a error, b 510", "3,5,6,7,8"],
              ["b@1 10..11 samples", "b 511", "3,5,6,7,8"],
              ["b@1 11..12 samples", "b 512", "3,5,6,7,8"],
              ["b@1 12..13 3:[3] samples", "b 513 length", "1,2,3,5,6,7,8,4"],
            ],
      );
      const next = driver.add("c", tokens(1, 9), { maxTokens: 1 });
      driver.run();
      expect(next.numCachedTokens).toBe(0);
    });

    test("the error names the position, and nothing of that step is appended", () => {
      const driver = new Driver(maxInFlightSteps, {}, sampleAt(5, null));
      const request = driver.add("a", 4);
      while (driver.scheduler.hasUnfinished) driver.turn();
      expect([request.finishReason, request.outputTokenIds]).toEqual(["error", [504]]);
    });
  });
});
