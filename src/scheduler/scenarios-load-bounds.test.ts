import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { copies, offload, work } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  /** Two chunks of x and two of y are in the host tier, nowhere else. */
  function withTwoPrefixes(options: ConstructorParameters<typeof OffloadDriver>[1]): OffloadDriver {
    const driver = new OffloadDriver(maxInFlightSteps, options);
    offload(driver, "x", tokens(1, 9));
    offload(driver, "y", tokens(2, 9));
    return driver;
  }

  describe("blocks", () => {
    test("two loads whose blocks fit, but not what both need up to their first output: one after the other", () => {
      // Each loads two blocks and computes one.
      const driver = withTwoPrefixes({ numBlocks: 6 });
      driver.add("b", tokens(1, 9), { maxTokens: 2 });
      driver.add("c", tokens(2, 9), { maxTokens: 2 });
      driver.turn();
      expect([driver.scheduler.numLoading, driver.scheduler.numFreeBlocks]).toEqual([1, 3]);
      driver.run();
      expect(driver.scheduler.stats).toMatchObject({ numPreemptions: 0, numRevocations: 0 });
    });

    test("where they fit, both load in one step", () => {
      const driver = withTwoPrefixes({ numBlocks: 7 });
      driver.add("b", tokens(1, 9), { maxTokens: 2 });
      driver.add("c", tokens(2, 9), { maxTokens: 2 });
      driver.turn();
      expect(driver.scheduler.numLoading).toBe(2);
      driver.run();
      expect(driver.scheduler.stats).toMatchObject({ numPreemptions: 0, numRevocations: 0 });
    });

    test("who computes does not take what a load will need: one that needs a block more waits", () => {
      const driver = withTwoPrefixes({ numBlocks: 6 });
      driver.landsAtOnce = false;
      driver.add("b", tokens(1, 9), { maxTokens: 2 });
      driver.turn();
      const big = driver.add("c", 8, { maxTokens: 1 });
      driver.turn();
      expect(big.status).not.toBe("waiting");
      const other = withTwoPrefixes({ numBlocks: 6 });
      other.landsAtOnce = false;
      other.add("b", tokens(1, 9), { maxTokens: 2 });
      other.turn();
      const bigger = other.add("c", 9, { maxTokens: 1 });
      other.turn();
      expect([bigger.status, other.scheduler.numFreeBlocks]).toEqual(["waiting", 3]);
      for (const each of [driver, other]) {
        each.landsAtOnce = true;
        each.landAll();
        each.run();
      }
    });

    test("nobody loads behind a head that was passed over for lack of blocks", () => {
      const driver = withTwoPrefixes({ numBlocks: 9 });
      driver.add("r", 9, { maxTokens: 4, usePrefixCache: false });
      driver.turn();
      const head = driver.add("h", 24, { maxTokens: 1 });
      const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
      driver.turn();
      expect([head.status, b.status, driver.scheduler.numFreeBlocks]).toEqual(["waiting", "waiting", 5]);
      driver.run();
    });

    test("a load that has arrived runs, though the head of the queue does not fit", () => {
      const driver = withTwoPrefixes({ numBlocks: 9 });
      driver.landsAtOnce = false;
      driver.add("r", 3, { maxTokens: 9, usePrefixCache: false });
      driver.turn();
      const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
      driver.turn();
      const head = driver.add("h", 24, { maxTokens: 1, priority: -1 });
      driver.landAll();
      expect(driver.turn()[0]).toMatch(/, b@1 8\.\.9 /);
      expect([head.status, b.numRevocations]).toEqual(["waiting", 0]);
      driver.landsAtOnce = true;
      driver.run();
    });
  });

  test("who loads counts as running: no more than there are rows", () => {
    const driver = withTwoPrefixes({ maxNumRunning: 2 });
    driver.landsAtOnce = false;
    driver.add("r", 3, { maxTokens: 30, usePrefixCache: false });
    driver.add("b", tokens(1, 9), { maxTokens: 1 });
    const c = driver.add("c", tokens(2, 9), { maxTokens: 1 });
    const d = driver.add("d", 3, { maxTokens: 1 });
    driver.turns(3);
    expect([driver.scheduler.numRunning, driver.scheduler.numLoading]).toEqual([1, 1]);
    expect([c.status, d.status]).toEqual(["waiting", "waiting"]);
    driver.landsAtOnce = true;
    driver.landAll();
    driver.run();
  });

  describe("what a step copies", () => {
    test("a load takes token budget as a prefill does, in parts of whole blocks", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { maxNumBatchedTokens: 10 });
      offload(driver, "x", tokens(1, 25));
      driver.add("b", tokens(1, 25), { maxTokens: 1 });
      driver.add("c", 3, { maxTokens: 1 });
      // Two blocks of the load are 8 of 10 tokens. c gets what is left; then it runs, and the load gets what it leaves.
      expect(work(driver.run())).toEqual([
        ["c@1 0..2 0:[13]", "load x0 -> 7 x1 -> 8"],
        ["c@1 2..3 samples", "load x2 -> 9 x3 -> 10"],
        ["", "load x4 -> 11 x5 -> 12"],
        ["b@0 24..25 0:[7,8,9,10,11,12,13] samples", ""],
      ]);
    });

    test("those that run go first; the load gets what they leave", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { maxNumBatchedTokens: 8 });
      offload(driver, "x", tokens(1, 9));
      driver.add("r", 2, { maxTokens: 9, usePrefixCache: false });
      driver.turn();
      driver.add("b", tokens(1, 9), { maxTokens: 1 });
      // r decodes; of 7 tokens one block's copy fits.
      expect(copies(driver.turns(2))).toHaveLength(2);
      driver.run();
    });

    test("a step copies so many blocks at most, stores and loads together, stores half of them at most", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { maxBlocksPerStep: 4 });
      offload(driver, "x", tokens(1, 21));
      driver.add("s", 16, { maxTokens: 4 });
      driver.turn();
      driver.add("b", tokens(1, 21), { maxTokens: 1 });
      expect(copies(driver.run()).map((each) => each.replaceAll(/ (<-|->) \d+/g, ""))).toEqual([
        "store s0, store s1, load x0 x1",
        "store s2, store s3, load x2 x3",
        "load x4",
      ]);
    });

    test("one position's blocks of all groups go in any case", () => {
      const driver = new OffloadDriver(maxInFlightSteps, { windows: [null, 8], maxBlocksPerStep: 1 });
      offload(driver, "x", tokens(1, 9));
      driver.add("b", tokens(1, 9), { maxTokens: 1 });
      expect(copies(driver.run()).map((each) => each.replaceAll(/ -> \d+/g, ""))).toEqual([
        "load x0 x0/1",
        "load x1 x1/1",
      ]);
    });
  });
});
