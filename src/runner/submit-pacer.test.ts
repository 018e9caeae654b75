import { expect, it } from "vitest";
import { SubmitPacer } from "./submit-pacer";

it("submits a long step stage by stage until it knows how long one takes", () => {
  const pacer = new SubmitPacer(300);
  expect([pacer.stagesPerSubmit(8, 1), pacer.stagesPerSubmit(8, 512)]).toEqual([8, 1]);
  pacer.finished(8, 4, 10_000);
  expect([pacer.stagesPerSubmit(8, 1), pacer.stagesPerSubmit(8, 512)]).toEqual([8, 1]);
  pacer.finished(8, 512, 80);
  expect(pacer.stagesPerSubmit(8, 512)).toBe(8);
});

it("cuts a step into submits of about the target", () => {
  const pacer = new SubmitPacer(300);
  pacer.finished(10, 100, 1000); // 1 ms a stage and token
  expect(pacer.stagesPerSubmit(10, 30)).toBe(10);
  expect(pacer.stagesPerSubmit(10, 100)).toBe(3);
  expect(pacer.stagesPerSubmit(10, 512)).toBe(1);
});

it("follows the device as it gets faster", () => {
  const pacer = new SubmitPacer(300);
  pacer.finished(10, 100, 1000);
  for (let i = 0; i < 8; i++) pacer.finished(10, 100, 100);
  expect(pacer.stagesPerSubmit(10, 100)).toBe(10);
});
