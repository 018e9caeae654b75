import { describe, expect, test } from "vitest";
import { Driver, describeStep, makeRequest, tokens } from "./scheduler.fixture";

describe("steps in flight", () => {
  test("a decode reads the last sampled id on the GPU where the CPU does not know it", () => {
    const driver = new Driver(3);
    driver.add("a", 3);
    expect([1, 2, 3].map(() => describeStep(driver.schedule()))).toEqual([
      "a@0 0..3 0:[1] samples",
      "a@0 3..4 last samples",
      "a@0 4..5 last 1:[2] samples",
    ]);
    expect([1, 2, 3].map(() => driver.process())).toEqual([["a 503"], ["a 504"], ["a 505"]]);
    // Everything is known again, so the id comes from the CPU.
    expect(driver.schedule()!.scheduled[0].tokens).toEqual({ kind: "ids", ids: [505] });
    expect(driver.process()).toEqual(["a 506 length"]);
  });

  test.each([1, 2, 3])("%s at most: then nothing is scheduled before one is processed", (maxInFlightSteps) => {
    const driver = new Driver(maxInFlightSteps);
    driver.add("a", 30, { maxTokens: 20 });
    for (let i = 0; i < maxInFlightSteps; i++) expect(driver.schedule()).not.toBeNull();
    expect(driver.schedule()).toBeNull();
    driver.add("b", 3);
    expect(driver.schedule()).toBeNull();
    driver.process();
    expect(driver.schedule()?.stepIndex).toBe(maxInFlightSteps);
    driver.run();
  });

  test("a prompt's chunks do not wait for each other", () => {
    const driver = new Driver(2, { maxPrefillChunkTokens: 4 });
    driver.add("a", 10);
    expect(driver.turns(3).map(([step, updates]) => [step, updates])).toEqual([
      ["a@0 0..4 0:[1]", ""],
      ["a@0 4..8 1:[2]", ""],
      ["a@0 8..10 2:[3] samples", ""],
    ]);
    expect(driver.turn().slice(0, 2)).toEqual(["a@0 10..11 last samples", "a 510"]);
  });

  test("a request that waits for its last id leaves the step to the others", () => {
    const driver = new Driver(2);
    driver.add("a", 3, { maxTokens: 1 });
    driver.schedule();
    expect(driver.schedule()).toBeNull();
    driver.add("b", 2, { maxTokens: 1 });
    expect(describeStep(driver.schedule())).toBe("b@1 0..2 0:[2] samples");
    expect([driver.process(), driver.process()]).toEqual([["a 503 length"], ["b 502 length"]]);
  });

  test("with nothing left but a step in flight, there is work until it is processed", () => {
    const driver = new Driver(2);
    driver.add("a", 6);
    driver.schedule();
    driver.scheduler.abort("a");
    expect([driver.scheduler.numRunning, driver.scheduler.numWaiting]).toEqual([0, 0]);
    expect([driver.scheduler.hasUnfinished, driver.scheduler.numFreeBlocks]).toEqual([true, 14]);
    expect(driver.schedule()).toBeNull();
    expect(driver.process()).toEqual([]);
    expect([driver.scheduler.hasUnfinished, driver.scheduler.numFreeBlocks]).toEqual([false, 16]);
  });
});

describe("counts", () => {
  test("computed runs ahead; in flight and placeholders come back as steps are processed", () => {
    const driver = new Driver(2, { maxPrefillChunkTokens: 4 });
    const request = makeRequest("a", 6, { maxTokens: 3 });
    driver.scheduler.addRequest(request);
    const halves = ["schedule", "schedule", "process", "schedule", "process", "schedule", "process"] as const;
    const counts = halves.map((half) => {
      driver[half]();
      const { numTokens, numComputedTokens, numInFlightTokens, numOutputPlaceholders } = request;
      return [numTokens, numComputedTokens, numInFlightTokens, numOutputPlaceholders];
    });
    expect(counts).toEqual([
      [6, 4, 4, 0],
      [6, 6, 6, 1],
      [6, 6, 2, 1],
      [6, 7, 3, 2],
      [7, 7, 1, 1],
      [7, 8, 2, 2],
      [8, 8, 1, 1],
    ]);
    expect(driver.process()).toEqual(["a 508 length"]);
  });

  test("stats: steps, tokens, hits of every admission, preemptions", () => {
    const driver = new Driver(2, { numBlocks: 6 });
    const prompt = tokens(1, 9);
    for (const requestId of ["a", "b"]) driver.add(requestId, prompt, { maxTokens: 8 });
    driver.run();
    const { numRequestsVisited, numBlocksVisited, ...stats } = driver.scheduler.stats;
    // b hits 8 tokens in a's first step; it is preempted with 12 known tokens, hits 8 again and computes 4 again.
    expect(stats).toEqual({
      numSteps: 13,
      numScheduledTokens: 9 + 7 + (1 + 3) + (4 + 4),
      numCachedTokens: 8 + 8,
      numExternalTokens: 0,
      numStorageTokens: 0,
      numPreemptions: 1,
      numRevocations: 0,
    });
    expect(Math.min(numRequestsVisited, numBlocksVisited)).toBeGreaterThan(0);
  });
});
