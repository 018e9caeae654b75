import { expect, test } from "vitest";
import { ComputeRate } from "./compute-rate";

function makeRate() {
  const clock = { nowMs: 0 };
  return { clock, rate: new ComputeRate(() => clock.nowMs) };
}

test("nothing is predicted before a step came back", () => {
  const { rate } = makeRate();
  rate.stepScheduled(0, 100);
  expect(rate.predictMs(1)).toBe(Number.POSITIVE_INFINITY);
});

test("the rate of the steps so far, the newest for half", () => {
  const { clock, rate } = makeRate();
  rate.stepScheduled(0, 20);
  clock.nowMs = 100;
  rate.stepProcessed(0);
  expect(rate.predictMs(10)).toBe(50);
  rate.stepScheduled(1, 20);
  clock.nowMs = 160;
  rate.stepProcessed(1);
  expect(rate.predictMs(10)).toBe(0.5 * (50 + 30));
});

test("steps of few tokens do not count", () => {
  const { clock, rate } = makeRate();
  rate.stepScheduled(0, 15);
  clock.nowMs = 100;
  rate.stepProcessed(0);
  expect(rate.predictMs(1)).toBe(Number.POSITIVE_INFINITY);
});

test("a step that was scheduled behind another began when that one came back", () => {
  const { clock, rate } = makeRate();
  rate.stepScheduled(0, 15);
  rate.stepScheduled(1, 20);
  clock.nowMs = 100;
  rate.stepProcessed(0);
  clock.nowMs = 140;
  rate.stepProcessed(1);
  expect(rate.predictMs(1)).toBe(2);
});

test("steps that will not come back are forgotten, what was learned is not", () => {
  const { clock, rate } = makeRate();
  rate.stepScheduled(0, 20);
  clock.nowMs = 20;
  rate.stepProcessed(0);
  rate.stepScheduled(1, 20);
  rate.forgetSteps();
  clock.nowMs = 5000;
  rate.stepProcessed(1);
  expect(rate.predictMs(20)).toBe(20);
});
