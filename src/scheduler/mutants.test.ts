import { expect, test } from "vitest";
import { Driver } from "./scheduler.fixture";

// Tests for faults of scripts/mutants/list.mjs that the tests of scenarios cannot tell from the real thing.

test("an id that was sampled for an earlier life is dropped, though the request runs again by then", () => {
  const driver = new Driver(3, { numBlocks: 5 });
  driver.add("a", 3);
  driver.add("c", 8, { maxTokens: 1 });
  const request = driver.add("b", 3);
  expect(driver.turns(4)).toEqual([
    ["a@0 0..3 0:[1] samples, c@1 0..8 0:[2,3] samples, b@2 0..3 0:[4] samples", "", ""],
    ["a@0 3..4 last samples, b@2 3..4 last samples", "", ""],
    // a lacks a block, so b is preempted; its block comes free with the second step.
    ["", "a 503, c 508 length", "3,2"],
    ["a@0 4..5 last 1:[3] samples, b@1 0..3 0:[2] samples", "", ""],
  ]);
  expect(request.numPreemptions).toBe(1);
  expect(driver.process()).toEqual(["a 504"]);
  expect(driver.process()).toEqual(["a 505", "b 503"]);
  driver.run();
  expect(request.outputTokenIds).toEqual([503, 504, 505, 506]);
});

test("what is free is left to the first that waits for blocks", () => {
  const driver = new Driver(2, { numBlocks: 13, maxPrefillChunkTokens: 8 });
  driver.add("b", 1, { maxTokens: 16 });
  driver.add("c", 2, { maxTokens: 16 });
  driver.add("d", 4, { maxTokens: 20 });
  driver.turn();
  driver.add("a", 32, { maxTokens: 1, priority: -1 });
  driver.turns(2);
  expect(driver.turn()).toEqual([
    "a@3 16..24 4:[9,10], b@0 3..4 last samples, c@1 4..5 last 1:[11] samples, d@2 6..7 last samples",
    "b 503, c 504, d 506",
    "12",
  ]);
  driver.scheduler.abort("d");
  // a wants two blocks and waits for those of d. b wants one: block 12 is not for it. c wants none.
  expect(driver.turn()).toEqual(["c@1 5..6 last samples", "b 504, c 505", "4,12,3"]);
  expect(driver.turn()[0]).toBe("a@3 24..32 6:[4,12] samples, b@0 4..5 1:[3] samples, c@1 6..7 last samples");
  driver.run();
});
