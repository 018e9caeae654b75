import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, PickyManager } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

// A window of 8 tokens is two blocks of 4: the query behind a boundary sees the two before it.
const WINDOWS = [null, 8];

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  test("full attention is loaded from the beginning, a window only where the next query sees it", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { windows: WINDOWS, numBlocks: 33 });
    offload(driver, "a", tokens(1, 13));
    driver.add("b", tokens(1, 13), { maxTokens: 1 });
    expect(copies(driver.turns(1)).map((each) => each.replaceAll(/ -> \d+/g, ""))).toEqual(["load a0 a1 a1/1 a2 a2/1"]);
    driver.run();
  });

  test("a later request loads only the chunk that is new, in both groups", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { windows: WINDOWS, numBlocks: 33 });
    offload(driver, "a", tokens(1, 17));
    driver.add("b", [...tokens(1, 12), 7], { maxTokens: 1 });
    driver.run();
    driver.add("c", tokens(1, 17), { maxTokens: 1 });
    expect(copies(driver.turns(1)).map((each) => each.replaceAll(/ -> \d+/g, ""))).toEqual(["load a3 a3/1"]);
    driver.run();
  });

  test("a boundary is a hit only where every group has what it needs there", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { windows: WINDOWS, numBlocks: 33 });
    offload(driver, "a", tokens(1, 17));
    // Without the third block of the window no prefix of three or four is whole; one of two needs the first two.
    driver.manager.discard([driver.keyOf("a2/1")]);
    driver.add("b", tokens(1, 17), { maxTokens: 1 });
    expect(copies(driver.turns(1)).map((each) => each.replaceAll(/ -> \d+/g, ""))).toEqual(["load a0 a0/1 a1 a1/1"]);
    driver.run();
  });

  test("a window's chunks are stored as long as they are held: each of their boundaries may be somebody's hit", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { windows: WINDOWS, numBlocks: 33 });
    driver.add("a", 21, { maxTokens: 2 });
    driver.run();
    expect(driver.lookup("a0/1", "a1/1", "a2/1", "a3/1", "a4/1")).toBe("hit hit hit hit hit");
  });

  test("refused, then out of the window, its block with somebody else: it is gone, not stored under a wrong name", () => {
    const manager = new PickyManager();
    const driver = new OffloadDriver(maxInFlightSteps, {
      manager,
      windows: [8],
      numBlocks: 8,
      maxPrefillChunkTokens: 8,
    });
    manager.takes = () => false;
    driver.add("a", 9, { maxTokens: 20, usePrefixCache: true });
    driver.turns(10);
    // The window has moved on; what it left is in use again, by a itself or by b.
    driver.add("b", 4, { maxTokens: 8 });
    driver.turns(4);
    manager.changeMind(() => true);
    const [stores] = copies(driver.turns(1));
    // The shadow checks each copy's contents against its name.
    expect(stores).toMatch(/^store a3 <- \d+, store a4 <- \d+, store b0 <- \d+$/);
    driver.run();
    expect(driver.lookup("a0", "a1", "a2")).toBe("miss miss miss");
  });

  test("a window of a single block", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { windows: [null, 5], numBlocks: 33 });
    offload(driver, "a", tokens(1, 13));
    driver.add("b", tokens(1, 13), { maxTokens: 1 });
    expect(copies(driver.turns(1)).map((each) => each.replaceAll(/ -> \d+/g, ""))).toEqual(["load a0 a1 a2 a2/1"]);
    driver.run();
  });

  test("resetting the tiers: what is under way is void, running requests are stored anew, loads go on", () => {
    const driver = new OffloadDriver(maxInFlightSteps);
    offload(driver, "x", tokens(1, 9));
    driver.landsAtOnce = false;
    driver.add("a", 9, { maxTokens: 9 });
    driver.turns(2);
    const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
    driver.add("z", 9, { maxTokens: 1 });
    driver.turns(2);
    expect([b.status, driver.lookup("a0", "a1")]).toEqual(["loading", "pending pending"]);
    driver.scheduler.clearTiers();
    expect(driver.lookup("x0", "x1", "a0", "a1")).toBe("miss miss miss miss");
    // z has ended, its stores were under way: nobody offers them again, and their results say nothing.
    driver.landsAtOnce = true;
    driver.landAll();
    expect(driver.lookup("a0", "a1", "z0", "z1")).toBe("miss miss miss miss");
    driver.run();
    expect([b.numExternalTokens, driver.lookup("a0", "a1", "z0", "z1")]).toEqual([8, "hit hit miss miss"]);
  });
});
