import { describe, expect, test } from "vitest";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { Driver, describeStep, type TestSchedulerOptions } from "./scheduler.fixture";

function makeDriver(options: TestSchedulerOptions): Driver {
  return new Driver(1, { numBlocks: 65, ...options });
}

function add(driver: Driver, requestId: string, numPromptTokens: number, priority = 0): void {
  driver.add(requestId, numPromptTokens, { priority });
}

/** The steps of some turns. */
function steps(driver: Driver, numTurns: number): string[] {
  return driver.turns(numTurns).map(([step]) => step);
}

describe("the token budget of a step", () => {
  test("those that run come first, then the queue; the last one gets what is left", () => {
    const driver = makeDriver({ maxNumBatchedTokens: 20 });
    add(driver, "a", 45);
    add(driver, "b", 12);
    expect(steps(driver, 3)).toEqual([
      "a@0 0..20 0:[1,2,3,4,5]",
      "a@0 20..40 5:[6,7,8,9,10]",
      "a@0 40..45 10:[11,12] samples, b@1 0..12 0:[13,14,15] samples",
    ]);
    add(driver, "c", 30);
    add(driver, "d", 2);
    expect(steps(driver, 2)).toEqual([
      "a@0 45..46 samples, b@1 12..13 3:[16] samples, c@2 0..18 0:[17,18,19,20,21]",
      "a@0 46..47 samples, b@1 13..14 samples, c@2 18..30 5:[22,23,24] samples, d@3 0..2 0:[25] samples",
    ]);
  });

  test("a prefill under way leaves a token for each decode behind it", () => {
    const driver = makeDriver({ maxNumBatchedTokens: 8, maxNumRunning: 3 });
    add(driver, "a", 2, 1);
    add(driver, "b", 2, 1);
    expect(steps(driver, 1)).toEqual(["a@0 0..2 0:[1] samples, b@1 0..2 0:[2] samples"]);
    add(driver, "first", 20, 0);
    expect(steps(driver, 2)).toEqual([
      "a@0 2..3 samples, b@1 2..3 samples, first@2 0..6 0:[3,4]",
      "first@2 6..12 2:[5], a@0 3..4 samples, b@1 3..4 samples",
    ]);
  });

  test("prefills under way share the budget in the order of the queue; who gets none of it waits its turn", () => {
    const driver = makeDriver({ maxNumBatchedTokens: 6, maxPrefillChunkTokens: 3, maxNumRunning: 3 });
    for (const requestId of ["a", "b"]) add(driver, requestId, 9);
    add(driver, "c", 1);
    expect(steps(driver, 4)).toEqual([
      "a@0 0..3 0:[1], b@1 0..3 0:[2]",
      "a@0 3..6 1:[3], b@1 3..6 1:[4]",
      "a@0 6..9 2:[5] samples, b@1 6..9 2:[6] samples",
      "a@0 9..10 samples, b@1 9..10 samples, c@2 0..1 0:[7] samples",
    ]);
  });

  test("a chunk limit is a request's own", () => {
    const driver = makeDriver({ maxPrefillChunkTokens: 8 });
    for (const requestId of ["a", "b"]) add(driver, requestId, 9);
    expect(steps(driver, 2)).toEqual([
      "a@0 0..8 0:[1,2], b@1 0..8 0:[3,4]",
      "a@0 8..9 2:[5] samples, b@1 8..9 2:[6] samples",
    ]);
  });

  test("every step is within the budget, and its number of tokens is their sum", () => {
    const driver = makeDriver({ maxNumBatchedTokens: 7 });
    for (const [index, length] of [3, 19, 8, 1, 30].entries()) add(driver, `${index}`, length);
    while (driver.scheduler.hasUnfinished) {
      const output = driver.schedule()!;
      expect(output.numTokens).toBe(output.scheduled.reduce((sum, { numTokens }) => sum + numTokens, 0));
      expect(output.numTokens).toBeLessThanOrEqual(7);
      driver.process();
    }
    // 4 ids for each; the last of them is not fed.
    expect(driver.scheduler.stats.numScheduledTokens).toBe(3 + 19 + 8 + 1 + 30 + 5 * 3);
  });
});

describe("rows", () => {
  test("at most maxNumRunning; a row that is free again is new for the next request", () => {
    const driver = makeDriver({ maxNumRunning: 2 });
    driver.add("a", 2, { maxTokens: 1 });
    add(driver, "b", 2);
    add(driver, "c", 2);
    const first = driver.schedule()!;
    expect(first.newRows.map(({ requestId, row }) => [requestId, row])).toEqual([
      ["a", 0],
      ["b", 1],
    ]);
    expect([driver.scheduler.numRunning, driver.scheduler.numWaiting]).toEqual([2, 1]);
    expect(driver.process()).toEqual(["a 502 length", "b 502"]);
    const second = driver.schedule()!;
    expect(second.newRows).toEqual([{ requestId: "c", row: 0, sampling: NEUTRAL_SAMPLING, history: null }]);
    expect(describeStep(second)).toBe("b@1 2..3 samples, c@0 0..2 0:[1] samples");
  });

  test("an aborted request's entry does not shift the ids of the others", () => {
    const driver = makeDriver({});
    for (const requestId of ["a", "b", "c"]) add(driver, requestId, requestId.charCodeAt(0) - 95);
    driver.schedule();
    driver.scheduler.abort("b");
    expect(driver.process()).toEqual(["a 502", "c 504"]);
  });
});

describe("the work of a step", () => {
  /** Requests and blocks visited in one step of decodes, with so many running and waiting. */
  function visited(numRunning: number, numWaiting: number): { requests: number; blocks: number } {
    const options = { numBlocks: 4 * numRunning + 1, maxNumRunning: numRunning, maxNumBatchedTokens: 8 * numRunning };
    const driver = makeDriver(options);
    for (let i = 0; i < numRunning + numWaiting; i++) {
      const prompt = [i, i, i];
      driver.add(`${i}`, prompt, { maxTokens: 10 });
    }
    driver.turns(2);
    const before = driver.scheduler.stats;
    driver.turn();
    const { numRequestsVisited, numBlocksVisited } = driver.scheduler.stats;
    return {
      requests: numRequestsVisited - before.numRequestsVisited,
      blocks: numBlocksVisited - before.numBlocksVisited,
    };
  }

  test("grows with the running requests, and not with the waiting ones", () => {
    const alone = visited(1, 0);
    expect(visited(64, 0)).toEqual({ requests: 64 * alone.requests, blocks: 64 * alone.blocks });
    expect(visited(8, 3000)).toEqual(visited(8, 30));
  });
});
