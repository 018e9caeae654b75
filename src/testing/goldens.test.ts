import { describe, expect, it } from "vitest";
import {
  compareTeacherForced,
  compareWithGolden,
  firstUncertainStep,
  type GoldenCase,
  loadGoldenCases,
  maxLogitError,
  teacherForcedGaps,
} from "./goldens";
import { ReferenceModel } from "./reference-model";

const golden: GoldenCase = {
  name: "made up #0",
  model: "made up",
  dir: "",
  promptIds: [1],
  greedyIds: [10, 11, 12, 13],
  topLogits: [
    [2, 1.5],
    [0, 0.5],
  ],
  stepGaps: null,
};
const gaps = [3, 2, 0.01, 1];

it("firstUncertainStep finds the first gap under the bound", () => {
  expect(firstUncertainStep(gaps, 0.05)).toBe(2);
  expect(firstUncertainStep(gaps, 0.01)).toBe(4);
  expect(firstUncertainStep([], 0.05)).toBe(0);
});

describe("compareWithGolden", () => {
  it("holds free-running ids up to the first uncertain step", () => {
    expect(compareWithGolden([10, 11, 99, 98], golden, gaps, 0.05)).toEqual([]);
    expect(compareWithGolden([10, 11], golden, gaps, 0.05)).toEqual([]);
  });

  it("names each step that differs or is missing", () => {
    expect(compareWithGolden([10, 99], golden, gaps, 0.001)).toEqual([
      { step: 1, expectedId: 11, actualId: 99 },
      { step: 2, expectedId: 12, actualId: null },
      { step: 3, expectedId: 13, actualId: null },
    ]);
  });
});

it("compareTeacherForced skips only the uncertain steps themselves", () => {
  expect(compareTeacherForced([10, 11, 99, 13], golden, gaps, 0.05)).toEqual([]);
  expect(compareTeacherForced([10, 11, 99, 98], golden, gaps, 0.05)).toEqual([
    { step: 3, expectedId: 13, actualId: 98 },
  ]);
  expect(() => compareTeacherForced([10], golden, [1], 0.05)).toThrow("one gap a greedy step");
});

it("maxLogitError compares the logits that the case has", () => {
  expect(maxLogitError([0.25, 77, 1.5], golden)).toBe(0.25);
  expect(maxLogitError([0.5, 77, NaN], golden)).toBe(NaN);
});

describe("loadGoldenCases", () => {
  const cases = loadGoldenCases();
  const embedded = cases.filter(({ model }) => model === "cairn-stories-3M");

  it("has the embedded model's nine cases with gaps and logits", () => {
    expect(embedded.map(({ promptIds }) => promptIds.length)).toEqual([255, 482, 21, 14, 22, 153, 178, 18, 16]);
    expect(embedded.map(({ topLogits }) => topLogits.length)).toEqual([8, 8, 2048, 2048, 2048, 8, 8, 8, 8]);
    expect(embedded.every(({ stepGaps, greedyIds }) => stepGaps?.length === greedyIds.length)).toBe(true);
  });

  it("gives each case a name of its own", () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  });

  it("has gaps that teacherForcedGaps makes again", () => {
    const short = embedded[3];
    const made = teacherForcedGaps(ReferenceModel.load(short.dir), short);
    expect(made.length).toBe(short.greedyIds.length);
    expect(Math.max(...made.map((gap, step) => Math.abs(gap - short.stepGaps![step])))).toBeLessThan(1e-5);
  });
});
