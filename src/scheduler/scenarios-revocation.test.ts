import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { offload } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  /** Two chunks of x and two of y are in the host tier, nowhere else; copies are not heard of from now on. */
  function withTwoPrefixes(numBlocks: number, options: ConstructorParameters<typeof OffloadDriver>[1] = {}) {
    const driver = new OffloadDriver(maxInFlightSteps, { numBlocks, ...options });
    offload(driver, "x", tokens(1, 9));
    offload(driver, "y", tokens(2, 9));
    driver.landsAtOnce = false;
    return driver;
  }

  function turnUntil(driver: OffloadDriver, isTrue: () => boolean): void {
    for (let i = 0; !isTrue(); i++) {
      if (i === 50) throw new Error("nothing of that kind happens within 50 turns");
      driver.turn();
    }
  }

  function landAndRun(driver: OffloadDriver): void {
    driver.landsAtOnce = true;
    driver.landAll();
    driver.run();
  }

  test("the newest load goes first, then the one before it; nobody is preempted while there is one", () => {
    const driver = withTwoPrefixes(9);
    const r = driver.add("r", 3, { maxTokens: 29, usePrefixCache: false });
    driver.turn();
    const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
    const c = driver.add("c", tokens(2, 9), { maxTokens: 1 });
    driver.turn();
    expect([b.status, c.status]).toEqual(["loading", "loading"]);
    turnUntil(driver, () => c.numRevocations > 0);
    expect([r.status, b.status, c.status]).toEqual(["running", "loading", "waiting"]);
    turnUntil(driver, () => b.numRevocations > 0);
    expect([r.status, b.status, c.status]).toEqual(["running", "waiting", "waiting"]);
    landAndRun(driver);
    expect(driver.scheduler.stats).toMatchObject({ numPreemptions: 0, numRevocations: 2 });
    expect([b.numExternalTokens, c.numExternalTokens]).toEqual([8, 8]);
  });

  test("a load of lower priority goes before a newer one", () => {
    const driver = withTwoPrefixes(9);
    driver.add("r", 3, { maxTokens: 29, usePrefixCache: false });
    driver.turn();
    const b = driver.add("b", tokens(1, 9), { maxTokens: 1, priority: 1 });
    const c = driver.add("c", tokens(2, 9), { maxTokens: 1 });
    turnUntil(driver, () => driver.scheduler.stats.numRevocations > 0);
    expect([b.status, c.status]).toEqual(["waiting", "loading"]);
    landAndRun(driver);
  });

  test("before a load, stores that wait are cancelled where that frees a block", () => {
    const driver = withTwoPrefixes(9, { numStagingSlots: 1 });
    driver.add("z", 9, { maxTokens: 1 });
    driver.add("r", 3, { maxTokens: 25, usePrefixCache: false });
    driver.turns(2);
    const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
    turnUntil(driver, () => driver.connector.stats.numStoresCancelled > 0);
    // z has ended; its second chunk's store waited for a slot of the staging ring.
    expect(driver.lookup("z0", "z1")).toBe("pending miss");
    expect([b.status, driver.scheduler.freeBlockIds.length, driver.scheduler.numBlocksOnlyLeased]).toEqual([
      "loading",
      0,
      0,
    ]);
    turnUntil(driver, () => b.numRevocations > 0);
    landAndRun(driver);
  });

  test("it keeps its place: who came later is not admitted before it, though it would fit", () => {
    const driver = withTwoPrefixes(9);
    driver.add("r", 3, { maxTokens: 29, usePrefixCache: false });
    driver.turn();
    const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
    turnUntil(driver, () => b.numRevocations > 0);
    const d = driver.add("d", 1, { maxTokens: 1 });
    driver.turn();
    expect([driver.scheduler.numFreeBlocks, b.status, d.status]).toEqual([1, "waiting", "waiting"]);
    landAndRun(driver);
  });

  test("it is readmitted only with more free blocks than when it was revoked, though it would fit with as many", () => {
    const driver = withTwoPrefixes(9, { maxBlocksPerStep: 1 });
    driver.add("r", 3, { maxTokens: 29, usePrefixCache: false });
    const s = driver.add("s", 9, { maxTokens: 20, usePrefixCache: false });
    driver.turn();
    const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
    driver.turn();
    driver.landAll(); // The first of its two blocks.
    turnUntil(driver, () => b.numRevocations > 0);
    expect([b.numFreeBlocksAtRevocation, s.status]).toEqual([2, "running"]);
    // d takes what b had brought and two more, s gives four back: two are left, and b needs no more than that.
    const d = driver.add("d", [...tokens(1, 4), 7, 7, 7, 7, 7], { maxTokens: 1, priority: -1 });
    driver.scheduler.abort("s");
    turnUntil(driver, () => d.status === "running" || d.status === "finished");
    expect(b.status).toBe("waiting");
    driver.landsAtOnce = true;
    driver.landAll();
    turnUntil(driver, () => b.status === "loading");
    expect(driver.connector.stats).toMatchObject({ numLoads: 2, numBlocksLoaded: 2 });
    driver.run();
  });

  test("what had arrived stays in the prefix cache: only the rest is loaded again", () => {
    const driver = withTwoPrefixes(9, { maxBlocksPerStep: 1 });
    driver.add("r", 3, { maxTokens: 24, usePrefixCache: false });
    driver.add("s", 5, { maxTokens: 16, usePrefixCache: false });
    driver.turn();
    const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
    driver.turn();
    driver.landAll();
    turnUntil(driver, () => b.numRevocations > 0);
    expect(driver.scheduler.numCachedBlocks).toBe(1);
    driver.scheduler.abort("s");
    landAndRun(driver);
    expect(driver.connector.stats).toMatchObject({ numLoads: 2, numBlocksLoaded: 2 });
    expect(b.numExternalTokens).toBe(4);
  });

  test("revoked twice, it loads no more: it waits for blocks and computes", () => {
    const driver = withTwoPrefixes(10);
    driver.add("r", 3, { maxTokens: 12, usePrefixCache: false });
    driver.add("s", 3, { maxTokens: 27, usePrefixCache: false });
    driver.turn();
    const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
    turnUntil(driver, () => b.numRevocations === 1);
    turnUntil(driver, () => b.status === "loading");
    turnUntil(driver, () => b.numRevocations === 2);
    driver.landsAtOnce = true;
    driver.landAll();
    turnUntil(driver, () => driver.scheduler.numRunning === 0);
    expect(driver.turn()[0]).toMatch(/^b@\d 0\.\.9 /);
    driver.run();
    expect(driver.connector.stats.numLoads).toBe(2);
    expect(driver.scheduler.stats).toMatchObject({ numPreemptions: 0, numRevocations: 2 });
  });

  test("the result of a job of before comes while the request loads again: it changes nothing but pins", () => {
    const driver = withTwoPrefixes(10);
    driver.add("r", 3, { maxTokens: 12, usePrefixCache: false });
    driver.add("s", 3, { maxTokens: 16, usePrefixCache: false });
    driver.turn();
    const b = driver.add("b", tokens(1, 9), { maxTokens: 1 });
    driver.turn();
    const [first] = driver.transfers.jobs;
    turnUntil(driver, () => b.numRevocations === 1);
    turnUntil(driver, () => b.status === "loading");
    driver.land(first.job.jobId);
    expect([b.status, driver.scheduler.numCachedBlocks]).toEqual(["loading", 0]);
    expect(driver.connector.stats.host.numPinnedSlots).toBe(2);
    landAndRun(driver);
    expect(b.numExternalTokens).toBe(8);
  });
});
