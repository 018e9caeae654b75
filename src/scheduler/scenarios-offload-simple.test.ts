import { describe, expect, test } from "vitest";
import { makeOffloadPolicy } from "../offload/offload-policy";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  describe("round trip", () => {
    test("storeOnCompute: chunks go to the host with the next step, and come back when the GPU has lost them", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 7 });
      const first = driver.add("a", tokens(1, 14), { maxTokens: 2 });
      expect(driver.run().slice(0, 2)).toEqual(
        late
          ? [
              ["a@0 0..14 0:[1,2,3,4] samples", "", "", "5,6"],
              ["a@0 14..15 last samples", "store a0 <- 1, store a1 <- 2, store a2 <- 3", "a 514", "5,6"],
            ]
          : [
              ["a@0 0..14 0:[1,2,3,4] samples", "", "a 514", "5,6"],
              ["a@0 14..15 samples", "store a0 <- 1, store a1 <- 2, store a2 <- 3", "a 515 length", "4,5,6,3,2,1"],
            ],
      );
      driver.add("b", 24, { maxTokens: 1, usePrefixCache: false });
      driver.run();
      const again = driver.add("c", tokens(1, 14), { maxTokens: 2 });
      expect(driver.run().slice(0, 2)).toEqual([
        ["", "load a0 -> 4 a1 -> 5 a2 -> 6", "", "3,2,1"],
        ["c@0 12..14 0:[4,5,6,3] samples", "", late ? "" : "c 514", "2,1"],
      ]);
      expect([again.numCachedTokens, again.numExternalTokens]).toEqual([12, 12]);
      expect(again.outputTokenIds).toEqual(first.outputTokenIds);
    });

    test("storeOnEvict: chunks go to the host in the step that hands out their blocks, ahead of what it writes", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { numBlocks: 7, policy: makeOffloadPolicy("storeOnEvict") });
      driver.add("a", tokens(1, 14), { maxTokens: 2 });
      expect(copies(driver.run())).toEqual([]);
      driver.add("b", 24, { maxTokens: 1 });
      expect(driver.turn()[1]).toBe("store a2 <- 3, store a1 <- 2, store a0 <- 1");
      driver.run();
      const again = driver.add("c", tokens(1, 14), { maxTokens: 2 });
      // A load takes blocks as a prefill does: b's chunks leave in front of it.
      expect(work(driver.turns(2))).toEqual([
        ["", "store b5 <- 1, store b4 <- 2, store b3 <- 3, load a0 -> 1 a1 -> 2 a2 -> 3"],
        ["c@0 12..14 0:[1,2,3,6] samples", "store b2 <- 6"],
      ]);
      driver.run();
      expect([again.numExternalTokens, again.outputTokenIds]).toEqual([12, [514, 515]]);
    });

    test("a prompt of full blocks stores its last chunk, and loads all but that: one token has to be computed", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      offload(driver, "a", tokens(1, 12));
      expect(driver.lookup("a0", "a1", "a2")).toBe("hit hit hit");
      const request = driver.add("b", tokens(1, 12), { maxTokens: 1 });
      expect(driver.run().slice(0, 2)).toEqual([
        ["", "load a0 -> 4 a1 -> 5", "", "6,7,8,9,10,11,12,13,14,15,16,3,2,1"],
        [
          "b@0 8..12 0:[4,5,6] samples",
          "",
          ...(late
            ? ["", "7,8,9,10,11,12,13,14,15,16,3,2,1"]
            : ["b 512 length", "7,8,9,10,11,12,13,14,15,16,3,2,1,6,5,4"]),
        ],
      ]);
      expect([request.numCachedTokens, request.numExternalTokens]).toEqual([8, 8]);
    });
  });

  describe("no chunk is stored twice", () => {
    test("storeOnCompute: what a tier has is passed over, what is new behind it is not", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.add("a", tokens(1, 13), { maxTokens: 2 });
      driver.run();
      driver.add("b", [...tokens(1, 13), 1, 2, 3, 4], { maxTokens: 2 });
      expect(copies(driver.run())).toEqual(["store b3 <- 4"]);
      expect(driver.connector.stats.numStores).toBe(4);
    });

    test("storeOnEvict: a chunk that the host still has leaves the GPU without a copy", () => {
      const options = { numBlocks: 4, policy: makeOffloadPolicy("storeOnEvict") };
      const driver = new OffloadDriver(maxInFlightSteps, options);
      const transfersOf = (requestId: string, prompt: number | readonly number[]) => {
        driver.add(requestId, prompt, { maxTokens: 1 });
        return copies(driver.run());
      };
      expect(transfersOf("a", tokens(1, 9))).toEqual([]);
      expect(transfersOf("b", 9)).toEqual(["store a1 <- 2, store a0 <- 1"]);
      expect(transfersOf("c", tokens(1, 9))).toEqual(["store b1 <- 2, load a0 -> 1 a1 -> 2", "store b0 <- 3"]);
      expect(transfersOf("d", 9)).toEqual([]);
      expect(driver.lookup("a0", "a1", "b0", "b1")).toBe("hit hit hit hit");
    });

    test("while a store is in flight, over several steps, others that have its chunk do not store it again", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.landsAtOnce = false;
      driver.add("a", tokens(1, 9), { maxTokens: 4 });
      driver.turns(2);
      driver.add("b", [...tokens(1, 8), 77], { maxTokens: 4 });
      const transfers = copies(driver.turns(5));
      expect(driver.lookup("a0", "a1")).toBe("pending pending");
      driver.landAll();
      driver.landsAtOnce = true;
      driver.run();
      // Each has a third chunk of its own, and no other.
      expect(transfers.join(", ").split(", ").sort()).toEqual(["store a2 <- 3", "store b2 <- 4"]);
      expect(driver.connector.stats.numStores).toBe(4);
    });
  });

  describe("which chunk makes room in the host", () => {
    /** Two prompts fill the four slots; a third needs one. */
    function fill(): OffloadDriver {
      const driver = new OffloadDriver(maxInFlightSteps, { numSlots: 4 });
      for (const [requestId, seed] of Object.entries({ a: 1, b: 2 })) {
        driver.add(requestId, tokens(seed, 9), { maxTokens: 2 });
        driver.run();
      }
      expect(driver.lookup("a0", "a1", "b0", "b1")).toBe("hit hit hit hit");
      return driver;
    }

    test("the least recently used: of the oldest prompt the tail, then its head", () => {
      const driver = fill();
      const left: string[] = [];
      for (const requestId of ["c", "d"]) {
        driver.add(requestId, 5, { maxTokens: 2 });
        driver.run();
        left.push(driver.lookup("a0", "a1", "b0", "b1"));
      }
      expect(left).toEqual(["hit miss hit hit", "miss miss hit hit"]);
    });

    test("a prompt that was hit on the GPU is in use: its chunks stay in the host", () => {
      const driver = fill();
      driver.add("e", tokens(1, 9), { maxTokens: 1 });
      expect(driver.run()[0][0]).toMatch(/^e@0 8\.\.9 /);
      driver.add("c", 9, { maxTokens: 2 });
      driver.run();
      expect(driver.lookup("a0", "a1", "b0", "b1", "c0", "c1")).toBe("hit hit miss miss hit hit");
    });
  });
});
