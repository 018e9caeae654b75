import { describe, expect, test } from "vitest";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { Driver, MODES } from "./scheduler.fixture";

const CONSTRAINED = { sampling: { ...NEUTRAL_SAMPLING, isConstrained: true } };

describe.each(MODES)("$name", ({ maxInFlightSteps }) => {
  const late = maxInFlightSteps === 2;

  test("a constrained request samples only when it was released; its neighbour keeps all steps in flight", () => {
    const driver = new Driver(maxInFlightSteps);
    const request = driver.add("a", 3, { ...CONSTRAINED, maxTokens: 2 });
    driver.add("b", 3, { maxTokens: 4 });
    expect(driver.turns(2)).toEqual(
      late
        ? [
            ["a@0 0..3 0:[1] samples, b@1 0..3 0:[2] samples", "", "3,4,5,6,7,8,9,10,11,12,13,14,15,16"],
            ["b@1 3..4 last samples", "a 503, b 503", "3,4,5,6,7,8,9,10,11,12,13,14,15,16"],
          ]
        : [
            ["a@0 0..3 0:[1] samples, b@1 0..3 0:[2] samples", "a 503, b 503", "3,4,5,6,7,8,9,10,11,12,13,14,15,16"],
            ["b@1 3..4 samples", "b 504", "3,4,5,6,7,8,9,10,11,12,13,14,15,16"],
          ],
    );
    expect([request.status, request.isHeld]).toEqual(["running", true]);
    driver.scheduler.release("a");
    expect(driver.turn()).toEqual(
      late
        ? ["a@0 3..4 samples, b@1 4..5 last 1:[3] samples", "b 504", "4,5,6,7,8,9,10,11,12,13,14,15,16"]
        : ["a@0 3..4 samples, b@1 4..5 1:[3] samples", "a 504 length, b 505", "4,5,6,7,8,9,10,11,12,13,14,15,16,1"],
    );
    driver.run();
    expect(request.outputTokenIds).toEqual([503, 504]);
  });

  test("the chunks of its prompt are scheduled like anyone's: only the one that samples holds it", () => {
    const driver = new Driver(maxInFlightSteps, { maxPrefillChunkTokens: 4 });
    driver.add("a", 9, { ...CONSTRAINED, maxTokens: 2 });
    expect(driver.turns(5).map(([step, updates]) => [step, updates])).toEqual([
      ["a@0 0..4 0:[1]", ""],
      ["a@0 4..8 1:[2]", ""],
      ["a@0 8..9 2:[3] samples", late ? "" : "a 509"],
      ["", late ? "a 509" : ""],
      ["", ""],
    ]);
    expect(driver.scheduler.hasUnfinished).toBe(true);
    driver.scheduler.release("a");
    expect(driver.run()[0][0]).toBe("a@0 9..10 samples");
  });

  test("preempted between its id and its release: it stays held, and stops nobody who waits", () => {
    const driver = new Driver(maxInFlightSteps, { numBlocks: 5 });
    driver.add("a", 7, { maxTokens: 4 });
    const request = driver.add("b", 7, { ...CONSTRAINED, maxTokens: 2 });
    driver.turns(3);
    expect([request.status, request.isHeld, request.outputTokenIds]).toEqual(["preempted", true, [507]]);
    driver.add("c", 3, { maxTokens: 1 });
    expect(driver.run.bind(driver)).toThrow("still unfinished");
    expect([driver.scheduler.numWaiting, driver.scheduler.numDeferred, request.status]).toEqual([1, 1, "preempted"]);
    driver.scheduler.release("b");
    expect(driver.run()[0][0]).toBe("b@1 0..8 0:[3,4] samples");
    expect(request.outputTokenIds).toEqual([507, 508]);
  });

  test("it ends while it is held: a release that comes late changes nothing", () => {
    const driver = new Driver(maxInFlightSteps);
    driver.add("a", 3, CONSTRAINED);
    driver.turns(maxInFlightSteps);
    expect(driver.scheduler.abort("a")).toBe(true);
    driver.scheduler.release("a");
    expect([driver.scheduler.hasUnfinished, driver.scheduler.numFreeBlocks]).toEqual([false, 16]);
  });

  test("released before its id came back: a broken invariant", () => {
    const driver = new Driver(maxInFlightSteps);
    driver.add("a", 3, CONSTRAINED);
    driver.schedule();
    expect(() => driver.scheduler.release("a")).toThrow(expect.objectContaining({ code: "internal" }));
    driver.scheduler.abort("a");
    driver.run();
  });
});

test("preempted with its id in flight: the id is dropped, and it need not be released to sample it again", () => {
  const driver = new Driver(2, { numBlocks: 5 });
  driver.add("a", 6, { maxTokens: 5 });
  const request = driver.add("b", 7, { ...CONSTRAINED, maxTokens: 3 });
  driver.turns(2);
  driver.scheduler.release("b");
  expect(driver.turns(2)).toEqual([
    ["a@0 7..8 last samples, b@1 7..8 samples", "a 507", ""],
    // a wants a block, and b's come free with the step that it is in.
    ["", "a 508", "4,3"],
  ]);
  expect([request.status, request.isHeld, request.outputTokenIds]).toEqual(["preempted", false, [507]]);
  driver.scheduler.abort("a");
  expect(driver.turns(2).map(([step, updates]) => [step, updates])).toEqual([
    ["b@0 4..8 0:[3,4] samples", ""],
    ["", "b 508"],
  ]);
  driver.scheduler.abort("b");
  driver.run();
});
