import { describe, expect, test } from "vitest";
import { OffloadDriver, type OffloadDriverOptions } from "./offload-driver.fixture";
import { copies, offload } from "./offload-moves.fixture";
import { MODES, tokens } from "./scheduler.fixture";

describe.each(MODES)("loads that fail, $name", ({ maxInFlightSteps }) => {
  /** A host tier with four chunks of tokens(1, ...); nothing on the GPU. */
  function withPrefix(options: OffloadDriverOptions = {}): OffloadDriver {
    const driver = new OffloadDriver(maxInFlightSteps, options);
    offload(driver, "a", tokens(1, 17), { maxTokens: 2 });
    return driver;
  }

  test.each([
    { bad: [0, 3], numCached: 0 },
    { bad: [2, 3], numCached: 8 },
    { bad: [3], numCached: 12 },
  ])("blocks $bad of four do not arrive: it computes from the first of these on", ({ bad, numCached }) => {
    const driver = withPrefix();
    const first = driver.scheduler.freeBlockIds[0];
    driver.isGoodBlock = ({ blockId }) => !bad.includes(blockId - first);
    const request = driver.add("b", tokens(1, 17), { maxTokens: 1 });
    const steps = driver.run().flatMap(([step]) => step || []);
    expect(steps[0]).toMatch(new RegExp(`^b@\\d ${numCached}..17 `));
    expect([request.numCachedTokens, request.finishReason, request.outputTokenIds]).toEqual([
      numCached,
      "length",
      [517],
    ]);
    expect(driver.connector.stats).toMatchObject({ numLoads: 1, numLoadsFailed: 1, numBlocksLoaded: numCached / 4 });
  });

  test("parts that fail one after the other: the first bad block counts, whatever comes in whichever order", () => {
    // Four parts of a block each; the second and the fourth are bad.
    const orders = permutations([0, 1, 2, 3]);
    const cached = orders.map((order) => {
      const driver = withPrefix({ maxBlocksPerStep: 1 });
      const first = driver.scheduler.freeBlockIds[0];
      driver.isGoodBlock = ({ blockId }) => ![1, 3].includes(blockId - first);
      driver.landsAtOnce = false;
      const request = driver.add("b", tokens(1, 17), { maxTokens: 1 });
      driver.turns(4);
      const jobIds = driver.transfers.jobs.map(({ job }) => job.jobId);
      for (const i of order) driver.land(jobIds[i]);
      driver.landsAtOnce = true;
      driver.run();
      expect(request.outputTokenIds).toEqual([517]);
      // Block 0 counts if it is there before the load is over, which any bad block ends.
      return [order.indexOf(0) < Math.min(order.indexOf(1), order.indexOf(3)), request.numCachedTokens];
    });
    expect(cached.filter(([isInTime, numCached]) => numCached !== (isInTime ? 4 : 0))).toEqual([]);
    expect(orders).toHaveLength(24);
  });

  test("those that run keep their blocks, also the ones that the failed load shares with them", () => {
    const driver = withPrefix();
    driver.add("x", tokens(1, 5), { maxTokens: 9 });
    expect(driver.turns(2)[1][0]).toMatch(/^x@0 4\.\.5 /);
    driver.isGoodBlock = () => false;
    const request = driver.add("b", tokens(1, 17), { maxTokens: 1 });
    const turns = driver.turns(3);
    expect(turns.map(([step]) => step.split(", ")[0].slice(0, 3))).toEqual(["x@0", "x@0", "x@0"]);
    driver.run();
    expect([request.numCachedTokens, request.numExternalTokens, driver.scheduler.stats.numPreemptions]).toEqual([
      4, 0, 0,
    ]);
  });

  test("what did not arrive is never a hit: not on the GPU, and for others the host has it still", () => {
    const driver = withPrefix();
    driver.isGoodBlock = () => false;
    driver.landsAtOnce = false;
    driver.add("b", tokens(1, 17), { maxTokens: 1 });
    const peer = driver.add("c", [...tokens(1, 16), 5], { maxTokens: 1 });
    driver.turn();
    driver.landAll();
    // Nothing of it is in the prefix cache; whoever waited for it asks again.
    expect(driver.scheduler.numCachedBlocks).toBe(0);
    driver.isGoodBlock = () => true;
    driver.landsAtOnce = true;
    const turns = driver.run();
    expect([peer.outputTokenIds, peer.numCachedTokens, peer.numExternalTokens]).toEqual([[517], 16, 0]);
    expect(driver.lookup("a0", "a1", "a2", "a3")).toBe("hit hit hit hit");
    expect(copies(turns).join().includes("a0")).toBe(false);
  });

  test("nobody ends with an error for it, in one part or in several, at any block", () => {
    for (const maxBlocksPerStep of [1, 2, 4]) {
      for (const bad of [0, 1, 2, 3]) {
        const driver = withPrefix({ maxBlocksPerStep });
        const first = driver.scheduler.freeBlockIds[0];
        driver.isGoodBlock = ({ blockId }) => blockId !== first + bad;
        const requests = ["b", "c"].map((requestId, i) =>
          driver.add(requestId, [...tokens(1, 16), i], { maxTokens: 3 }),
        );
        driver.run();
        expect(requests.map(({ finishReason, outputTokenIds }) => [finishReason, ...outputTokenIds])).toEqual([
          ["length", 517, 518, 519],
          ["length", 517, 518, 519],
        ]);
      }
    }
  });
});

function permutations<T>(values: readonly T[]): T[][] {
  if (values.length === 0) return [[]];
  return values.flatMap((value) =>
    permutations(values.filter((each) => each !== value)).map((rest) => [value, ...rest]),
  );
}
