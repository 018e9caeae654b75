import { describe, expect, test } from "vitest";
import { OffloadDriver } from "./offload-driver.fixture";
import { MODES, tokens } from "./scheduler.fixture";

/** Milliseconds; a token that is computed takes 1. */
interface Speeds {
  /** A block that is loaded from RAM. */
  readonly msPerBlock: number;
  /** A chunk that is read from storage. */
  readonly msPerChunk?: number;
}

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  /** Runs all there is at these speeds; every step is processed before the next. */
  function run(driver: OffloadDriver, { msPerBlock, msPerChunk = 0 }: Speeds): void {
    for (let i = 0; driver.scheduler.hasUnfinished; i++) {
      if (i === 300) throw new Error("still unfinished after 300 steps");
      const output = driver.schedule();
      const reads = driver.storage?.ops.flatMap((op) => (op.kind === "read" ? op.chunks : [])) ?? [];
      driver.nowMs += msPerChunk * reads.length;
      driver.storage?.endAll();
      if (!output) continue;
      const numBlocksLoaded = output.transfers.loads.reduce((sum, { blocks }) => sum + blocks.length, 0);
      driver.nowMs += output.numTokens + msPerBlock * numBlocksLoaded;
      driver.landAll();
      driver.process();
    }
  }

  /** A request alone, of a prompt of 17 tokens unless told otherwise; then the prefix cache is emptied. */
  function runAlone(
    driver: OffloadDriver,
    requestId: string,
    speeds: Speeds,
    { prompt = tokens(1, 17), isPrefetch = false } = {},
  ) {
    const request = driver.add(requestId, prompt, { maxTokens: 1, isPrefetch });
    run(driver, speeds);
    driver.scheduler.resetPrefixCache();
    return request;
  }

  /** Three requests have loaded the four chunks of a, which RAM alone has, at this speed. */
  function withLoads(msPerBlock: number, options: ConstructorParameters<typeof OffloadDriver>[1] = {}): OffloadDriver {
    const driver = new OffloadDriver(maxInFlightSteps, options);
    for (const requestId of ["a", "l1", "l2", "l3"]) runAlone(driver, requestId, { msPerBlock });
    expect(driver.connector.stats).toMatchObject({ numLoads: 3, numLoadsDeclined: 0 });
    return driver;
  }

  test("what is sooner loaded is", () => {
    const driver = withLoads(3);
    expect(runAlone(driver, "b", { msPerBlock: 3 }).numExternalTokens).toBe(16);
    expect(driver.connector.stats.numLoadsDeclined).toBe(0);
  });

  test("what is sooner computed is not loaded, and is another's hit all the same", () => {
    const driver = withLoads(5);
    expect(runAlone(driver, "b", { msPerBlock: 5 }).numExternalTokens).toBe(0);
    expect(driver.connector.stats).toMatchObject({ numLoads: 3, numLoadsDeclined: 1 });
    expect(driver.lookup("a0", "a1", "a2", "a3")).toBe("hit hit hit hit");
  });

  test('a prefetch, and loadPolicy "always", load whatever that takes', () => {
    const slow = { msPerBlock: 5 };
    const prefetched = runAlone(withLoads(5), "b", slow, { isPrefetch: true });
    const always = runAlone(withLoads(5, { loadPolicy: "always" }), "b", slow);
    expect([prefetched.numExternalTokens, always.numExternalTokens]).toEqual([16, 16]);
  });

  test("the 8th of those that compute for want of speed loads; when that is fast, so do all behind it", () => {
    const driver = withLoads(5);
    const numExternalTokens = Array.from({ length: 10 }, (_, i) => {
      return runAlone(driver, `b${i}`, { msPerBlock: 1 }).numExternalTokens;
    });
    expect(numExternalTokens).toEqual([0, 0, 0, 0, 0, 0, 0, 16, 16, 16]);
    expect(driver.connector.stats.numLoadsDeclined).toBe(7);
  });

  test("a tab that is frozen while a request loads makes no load slow", () => {
    const driver = withLoads(1);
    runAlone(driver, "frozen", { msPerBlock: 100_000 });
    expect(runAlone(driver, "b", { msPerBlock: 1 }).numExternalTokens).toBe(16);
  });

  test("storage is slow: what is in RAM is loaded, what lies behind it is computed, and not read", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
    const speeds = { msPerBlock: 1, msPerChunk: 6 };
    runAlone(driver, "a", speeds);
    for (const length of [5, 5, 9]) {
      driver.scheduler.clearTiers(["host"]);
      runAlone(driver, `head of ${length}`, speeds, { prompt: tokens(1, length) });
    }
    expect(driver.lookup("a0", "a1", "a2", "a3")).toBe("hit hit stored stored");
    driver.takeStorageOps();
    const request = runAlone(driver, "b", speeds);
    expect([request.numStorageTokens, request.numExternalTokens, driver.takeStorageOps()]).toEqual([0, 8, []]);
    expect(driver.connector.stats.numLoadsDeclined).toBe(1);
  });

  test("storage is fast enough: what is in RAM is loaded with what is read", () => {
    const driver = new OffloadDriver(maxInFlightSteps, { storage: {} });
    const speeds = { msPerBlock: 1, msPerChunk: 2 };
    runAlone(driver, "a", speeds);
    for (const length of [5, 5, 9]) {
      driver.scheduler.clearTiers(["host"]);
      runAlone(driver, `head of ${length}`, speeds, { prompt: tokens(1, length) });
    }
    const request = runAlone(driver, "b", speeds);
    expect([request.numStorageTokens, request.numExternalTokens]).toEqual([8, 16]);
    expect(driver.connector.stats.numLoadsDeclined).toBe(0);
  });
});
