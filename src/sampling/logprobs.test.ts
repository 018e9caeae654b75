import { expect, test } from "vitest";
import { computeLogprobs } from "./logprobs";

const logitsOf = (probabilities: readonly number[]) => Float32Array.from(probabilities, (p) => Math.log(p) + 7);

test("are those of the chosen id and of the most likely ones, ties by lowest id", () => {
  const { logprob, top } = computeLogprobs(logitsOf([0.125, 0.25, 0.5, 0.125]), 1, 3);
  expect(logprob).toBeCloseTo(Math.log(0.25), 6);
  expect(top.map(([id]) => id)).toEqual([2, 1, 0]);
  top.forEach(([, value], rank) => {
    expect(value).toBeCloseTo(Math.log(0.5 ** (rank + 1)), 6);
  });
});

test("are as many as the vocabulary has, and none for 0", () => {
  expect(computeLogprobs(Float32Array.of(1, 2), 0, 20).top).toHaveLength(2);
  expect(computeLogprobs(Float32Array.of(1, 2), 0, 0).top).toEqual([]);
});

test("a mask has -infinity", () => {
  const { logprob, top } = computeLogprobs(Float32Array.of(Number.NEGATIVE_INFINITY, 5), 1, 2);
  expect([logprob, top]).toEqual([
    0,
    [
      [1, 0],
      [0, Number.NEGATIVE_INFINITY],
    ],
  ]);
});
