import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, PickyManager, work } from "./offload-moves.fixture";
import { EOS, MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;
  const last = late ? " last" : "";

  describe("which chunks", () => {
    test("a step's chunks are copied out at the front of the next one, the head first", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.add("a", 13, { maxTokens: 2 });
      expect(work(driver.run())).toEqual([
        ["a@0 0..13 0:[1,2,3,4] samples", ""],
        [`a@0 13..14${last} samples`, "store a0 <- 1, store a1 <- 2, store a2 <- 3"],
      ]);
    });

    test("of three chunks the tier takes only the middle one: its block alone is copied", () => {
      const manager = new PickyManager();
      const driver = new OffloadDriver(maxInFlightSteps, { manager });
      manager.takes = (key) => driver.nameOf(key) === "a1";
      driver.add("a", 12);
      expect(copies(driver.run())).toEqual(["store a1 <- 2"]);
    });

    test("a chunk less one token is not stored; the step that fills it makes it one", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.add("a", 11, { maxTokens: 1 });
      expect(copies(driver.run())).toEqual(["store a0 <- 1, store a1 <- 2"]);
      driver.add("b", 11, { maxTokens: 2 });
      expect(copies(driver.run())).toEqual(["store b0 <- 3, store b1 <- 4", "store b2 <- 5"]);
    });

    test("a tier that takes nothing is asked again only when it may fare better, and then for all", () => {
      const manager = new PickyManager();
      const driver = new OffloadDriver(maxInFlightSteps, { manager });
      manager.takes = () => false;
      driver.add("a", 9, { maxTokens: 9 });
      expect(copies(driver.turns(2))).toEqual([]);
      manager.takes = () => true;
      expect(copies(driver.turns(1))).toEqual([]);
      manager.changeMind(() => true);
      expect(copies(driver.turns(1))).toEqual(["store a0 <- 1, store a1 <- 2"]);
      // Then its cursor goes on as if nothing had been refused.
      expect(copies(driver.run())).toEqual(["store a2 <- 3", "store a3 <- 4"]);
    });

    test("a request that differs in its last token shares all chunks but the last: only that is stored", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.add("a", [...tokens(1, 11), 1], { maxTokens: 1 });
      driver.run();
      driver.add("b", [...tokens(1, 11), 2], { maxTokens: 1 });
      expect(work(driver.run())).toEqual([
        ["b@0 8..12 0:[1,2,4] samples", ""],
        ["", "store b2 <- 4"],
      ]);
    });

    test("what a tier has or is getting is not stored again, by whomever it was computed", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.landsAtOnce = false;
      // Neither can hit what the other computes: the prefix cache ends before the last token.
      for (const requestId of ["a", "b"]) driver.add(requestId, tokens(1, 8), { maxTokens: 4 });
      driver.turn();
      const [[step, transfers]] = driver.turns(1);
      expect(transfers).toBe("store a0 <- 1, store a1 <- 2");
      expect(step).toContain("b@1 8..9");
      driver.landAll();
      expect(copies(driver.run())).toEqual([]);
    });

    test("a request that does not use the prefix cache stores nothing", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.add("a", 12, { usePrefixCache: false });
      expect(copies(driver.run())).toEqual([]);
      const off = new OffloadDriver(maxInFlightSteps, { usePrefixCache: false });
      off.add("a", 12);
      expect(copies(off.run())).toEqual([]);
    });

    test("after a load the whole prefix is looked at: what was evicted meanwhile is stored again, and what is new", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      offload(driver, "a", tokens(1, 9));
      driver.add("b", [...tokens(1, 9), 3, 3, 3], { maxTokens: 4 });
      driver.turns(2);
      driver.manager.discard([driver.keyOf("a0")]);
      // Chunk 1 was loaded, is offered too, and is present.
      expect(copies(driver.run())).toEqual(["store a0 <- 3, store b2 <- 5"]);
    });
  });

  test("chunks of a GPU hit are in use in the host tier too: another is evicted", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { numSlots: 4 });
    driver.add("a", tokens(1, 13), { maxTokens: 1 });
    driver.run();
    driver.add("x", 5, { maxTokens: 1 });
    driver.run();
    driver.add("b", tokens(1, 13), { maxTokens: 1 });
    driver.run();
    driver.add("y", 5, { maxTokens: 1 });
    driver.run();
    expect(driver.lookup("a0", "a1", "a2", "x0", "y0")).toBe("hit hit hit miss hit");
  });

  describe("the end of a request", () => {
    test("the chunk that its last id completes is stored only if a step in flight has fed that id", () => {
      const sample = (_: string, position: number) => (position === 7 ? EOS : 500 + position);
      const driver = new OffloadDriver(maxInFlightSteps, { sample });
      driver.add("a", 6, { maxTokens: 9 });
      driver.run();
      expect(driver.lookup("a0", "a1")).toBe(late ? "hit hit" : "hit miss");
    });

    test("a full request's last id is never fed: its chunk is not stored", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.add("a", 6, { maxTokens: 2 });
      driver.run();
      expect(driver.lookup("a0", "a1")).toBe("hit miss");
    });

    test("the chunk that the id before the last completes is stored at the finish", () => {
      const driver = new OffloadDriver(maxInFlightSteps);
      driver.add("a", 6, { maxTokens: 3 });
      expect(work(driver.run())).toEqual([
        ["a@0 0..6 0:[1,2] samples", ""],
        [`a@0 6..7${last} samples`, "store a0 <- 1"],
        [`a@0 7..8${last} samples`, ""],
        ["", "store a1 <- 2"],
      ]);
    });

    test("abort while it waits: nothing is stored", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { maxNumRunning: 1 });
      driver.add("a", 4, { maxTokens: 1 });
      driver.add("b", 8);
      driver.turn();
      driver.scheduler.abort("b");
      expect(copies(driver.run())).toEqual(["store a0 <- 1"]);
    });

    test("abort in mid-prefill: what was computed so far is stored", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { maxPrefillChunkTokens: 8 });
      driver.add("a", 30);
      driver.schedule();
      driver.scheduler.abort("a");
      expect(copies(driver.run())).toEqual(["store a0 <- 1, store a1 <- 2"]);
    });

    test("logits that are not finite: what the request has stored is forgotten, what is under way is void", () => {
      const sample = (_: string, position: number) => (position === 13 ? null : 500 + position);
      const driver = new OffloadDriver(maxInFlightSteps, { sample });
      driver.landsAtOnce = false;
      driver.add("a", 11, { maxTokens: 9 });
      driver.turns(2);
      driver.land(driver.transfers.jobs[0].job.jobId);
      expect(driver.lookup("a0", "a1")).toBe("hit pending");
      driver.landsAtOnce = true;
      driver.run();
      expect(driver.lookup("a0", "a1", "a2")).toBe("miss miss miss");
      driver.add("b", tokens("a".charCodeAt(0), 11), { maxTokens: 1 });
      expect(driver.run()[0][0]).toMatch(/^b@0 0\.\.11 /);
    });
  });
});
