import { expect, it } from "vitest";
import { SubmitPacer } from "./submit-pacer";

/** Reports a step that had the GPU for itself. */
function run(pacer: SubmitPacer, numStages: number, numTokens: number, elapsedMs: number, submittedMs = 0): void {
  pacer.finished({ numStages, numTokens, submittedMs, landedMs: submittedMs + elapsedMs });
}

it("submits a long step stage by stage until it knows how long one takes", () => {
  const pacer = new SubmitPacer(300);
  expect([pacer.stagesPerSubmit(8, 1), pacer.stagesPerSubmit(8, 512)]).toEqual([8, 1]);
  run(pacer, 8, 4, 10_000);
  expect([pacer.stagesPerSubmit(8, 1), pacer.stagesPerSubmit(8, 512)]).toEqual([8, 1]);
  run(pacer, 8, 512, 80, 10_000);
  expect(pacer.stagesPerSubmit(8, 512)).toBe(8);
});

it("cuts a step into submits of about the target", () => {
  const pacer = new SubmitPacer(300);
  run(pacer, 10, 100, 1000); // 1 ms a stage and token
  expect(pacer.stagesPerSubmit(10, 30)).toBe(10);
  expect(pacer.stagesPerSubmit(10, 100)).toBe(3);
  expect(pacer.stagesPerSubmit(10, 512)).toBe(1);
});

it("follows the device as it gets faster", () => {
  const pacer = new SubmitPacer(300);
  run(pacer, 10, 100, 1000);
  for (let i = 0; i < 8; i++) run(pacer, 10, 100, 100, 1000 + 100 * i);
  expect(pacer.stagesPerSubmit(10, 100)).toBe(10);
});

it("does not count the wait for the step before, short or long", () => {
  const pacer = new SubmitPacer(300);
  pacer.finished({ numStages: 10, numTokens: 1, submittedMs: 0, landedMs: 4000 });
  pacer.finished({ numStages: 10, numTokens: 100, submittedMs: 10, landedMs: 5000 }); // 1 ms a stage and token
  expect(pacer.stagesPerSubmit(10, 100)).toBe(3);
  pacer.finished({ numStages: 10, numTokens: 100, submittedMs: 4010, landedMs: 6000 });
  expect(pacer.stagesPerSubmit(10, 100)).toBe(3);
});

it("learns nothing from a step that only moves blocks, except when the next one began", () => {
  const pacer = new SubmitPacer(300);
  expect(pacer.stagesPerSubmit(10, 0)).toBe(10);
  run(pacer, 10, 0, 5000);
  expect(pacer.stagesPerSubmit(10, 512)).toBe(1);
  pacer.finished({ numStages: 10, numTokens: 100, submittedMs: 10, landedMs: 6000 }); // 1 ms a stage and token
  expect(pacer.stagesPerSubmit(10, 100)).toBe(3);
  expect(pacer.stagesPerSubmit(10, 0)).toBe(10);
});
