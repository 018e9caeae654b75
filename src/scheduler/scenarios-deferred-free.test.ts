import { describe, expect, test } from "vitest";
import { Driver, MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  test("with nothing in flight, blocks and row are free at once", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 7, maxNumRunning: 1 });
    driver.add("a", 7, { maxTokens: 9 });
    driver.schedule();
    driver.process();
    driver.scheduler.abort("a");
    expect(driver.freeBlockIds).toBe("2,3,4,5,6,1");
    expect(driver.scheduler.hasUnfinished).toBe(false);
    driver.add("b", 1, { maxTokens: 1 });
    expect(driver.run()[0][0]).toBe("b@0 0..1 0:[2] samples");
  });

  test.each(["stop", "abort"] as const)(
    "finish with reason %s: they are kept until the last step has landed",
    (reason) => {
      const driver = new Driver(maxInFlightSteps, { numBlocks: 7, maxNumRunning: 1 });
      driver.add("a", 7, { maxTokens: 9 });
      driver.add("b", 1, { maxTokens: 1 });
      driver.turn();
      driver.schedule();
      driver.scheduler.finish("a", reason);
      expect([driver.freeBlockIds, driver.schedule()]).toEqual(["3,4,5,6", null]);
      driver.process();
      // Late, this was the first of two.
      if (late) {
        expect([driver.freeBlockIds, driver.schedule()]).toEqual(["3,4,5,6", null]);
        driver.process();
      }
      // Late, the id that would have filled block 2 never became known.
      expect(driver.freeBlockIds).toBe(late ? "2,3,4,5,6,1" : "3,4,5,6,2,1");
      expect(driver.run()[0][0]).toBe(late ? "b@0 0..1 0:[2] samples" : "b@0 0..1 0:[3] samples");
    },
  );

  test("preemption: the victim's blocks and row stay taken, while it waits and while it runs again", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 7, maxNumRunning: 2 });
    driver.add("a", 11, { maxTokens: 6 });
    const victim = driver.add("b", 11, { maxTokens: 6 });
    driver.turns(2);
    driver.schedule();
    expect([victim.status, driver.freeBlockIds]).toEqual(["preempted", late ? "" : "5,4"]);
    driver.scheduler.abort("a");
    if (late) {
      // Both rows are leaving: b cannot begin again before they have landed.
      expect(driver.schedule()).toBeNull();
      driver.process();
      expect(driver.freeBlockIds).toBe("6,5,4,3,2,1");
    } else {
      driver.process();
    }
    expect(driver.turn()[0]).toBe(late ? "b@0 8..12 0:[4,5,6] samples" : "b@0 8..13 0:[4,5,6,3] samples");
    driver.run();
  });

  test("several that leave come back in the order of leaving, each tail first", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 13 });
    for (const requestId of ["a", "b", "c"]) driver.add(requestId, 7, { maxTokens: 9 });
    driver.turn();
    driver.schedule();
    for (const requestId of ["c", "a", "b"]) driver.scheduler.abort(requestId);
    expect(driver.freeBlockIds).toBe("7,8,9,10,11,12");
    driver.process();
    if (late) {
      expect(driver.freeBlockIds).toBe("7,8,9,10,11,12");
      driver.process();
    }
    // Late, nothing was known of the ids that fill blocks 2, 4 and 6: these are handed out next.
    expect(driver.freeBlockIds).toBe(late ? "4,2,6,7,8,9,10,11,12,5,1,3" : "7,8,9,10,11,12,6,5,2,1,4,3");
  });

  test("abort in mid-prefill, with a chunk in flight: its blocks are readable by others all the time", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 9, maxPrefillChunkTokens: 4 });
    driver.add("a", tokens(1, 14));
    driver.turn();
    driver.schedule();
    driver.scheduler.abort("a");
    expect(driver.freeBlockIds).toBe("3,4,5,6,7,8");
    driver.process();
    expect(driver.freeBlockIds).toBe(late ? "3,4,5,6,7,8" : "3,4,5,6,7,8,2,1");
    driver.add("b", tokens(1, 10), { maxTokens: 1 });
    expect(driver.turn()).toEqual(
      late
        ? ["b@1 8..10 0:[1,2,3] samples", "", "4,5,6,7,8"]
        : ["b@0 8..10 0:[1,2,3] samples", "b 510 length", "3,4,5,6,7,8,2,1"],
    );
    driver.run();
    expect(driver.freeBlockIds).toBe("3,4,5,6,7,8,2,1");
  });

  test("a block that is kept is not handed out, however short blocks are", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
    driver.add("a", 7, { maxTokens: 9 });
    driver.add("b", 7, { maxTokens: 3 });
    driver.turn();
    driver.schedule();
    driver.scheduler.abort("a");
    expect(driver.freeBlockIds).toBe("");
    if (late) {
      // b needs a block now, and a's two are waited for: b is not preempted.
      expect([driver.process(), driver.schedule()]).toEqual([["b 507"], null]);
    }
    expect([driver.process(), driver.freeBlockIds]).toEqual([["b 508"], "2,1"]);
    expect(driver.turn()[0]).toBe("b@1 8..9 2:[2] samples");
    driver.run();
    expect(driver.scheduler.stats.numPreemptions).toBe(0);
  });

  test("a head that needs kept blocks waits for them, though nothing runs any more", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
    driver.add("a", 9);
    driver.schedule();
    driver.scheduler.abort("a");
    driver.add("b", 6, { maxTokens: 1 });
    expect([driver.scheduler.numRunning, driver.schedule(), driver.freeBlockIds]).toEqual([0, null, "4"]);
    driver.process();
    expect(driver.freeBlockIds).toBe("3,4,2,1");
    expect(driver.turn()[0]).toBe("b@0 0..6 0:[3,4] samples");
    driver.run();
  });
});

describe("three steps in flight", () => {
  test("blocks are kept until the newest that names them has landed", () => {
    const driver = new Driver(3, { numBlocks: 7 });
    driver.add("a", 7, { maxTokens: 9 });
    for (let i = 0; i < 3; i++) driver.schedule();
    driver.scheduler.abort("a");
    const free = [1, 2, 3].map(() => {
      expect(driver.process()).toEqual([]);
      return driver.freeBlockIds;
    });
    expect(free).toEqual(["4,5,6", "4,5,6", "2,3,4,5,6,1"]);
  });

  test("who left later comes back sooner when the last step that names it is older", () => {
    const driver = new Driver(3, { numBlocks: 9 });
    driver.add("a", 4, { maxTokens: 1 });
    driver.add("b", 4, { maxTokens: 9 });
    driver.schedule();
    driver.schedule();
    driver.scheduler.abort("b");
    driver.scheduler.abort("a");
    const free = [1, 2].map(() => {
      expect(driver.process()).toEqual([]);
      return driver.freeBlockIds;
    });
    expect(free).toEqual(["4,5,6,7,8,1", "3,4,5,6,7,8,1,2"]);
  });
});
