import { expect, test } from "vitest";
import { adjustLogits, type TokenHistory } from "./adjust-logits";
import { NEUTRAL_SAMPLING, type SamplingParams } from "./sampling-params";

/** Id 1 is in the prompt, id 2 twice in the output, id 3 in both. */
const HISTORY: TokenHistory = { promptTokenIds: [1, 3, 3], outputTokenIds: [2, 3, 2] };

const adjust = (logits: readonly number[], params: Partial<SamplingParams>) => [
  ...adjustLogits(Float32Array.from(logits), { ...NEUTRAL_SAMPLING, ...params }, HISTORY),
];

test("nothing changes where all is off", () => {
  expect(adjust([1, -2, 3, -4], {})).toEqual([1, -2, 3, -4]);
});

test("the repetition penalty divides positive logits and multiplies others, of ids in prompt or output, once", () => {
  expect(adjust([4, 4, -4, 4], { repetitionPenalty: 2 })).toEqual([4, 2, -8, 2]);
  expect(adjust([4, 0, -4, 4], { repetitionPenalty: 0.5 })).toEqual([4, 0, -2, 8]);
});

test("the presence penalty is for ids in the output, the frequency penalty for each time", () => {
  expect(adjust([4, 4, 4, 4], { presencePenalty: 1 })).toEqual([4, 4, 3, 3]);
  expect(adjust([4, 4, 4, 4], { frequencyPenalty: 1 })).toEqual([4, 4, 2, 3]);
  expect(adjust([4, 4, 4, 4], { presencePenalty: -0.5, frequencyPenalty: 0.25 })).toEqual([4, 4, 4, 4.25]);
});

test("the bias comes first, then the repetition penalty, then the others", () => {
  const logitBias = new Map([
    [2, -6],
    [0, 1],
  ]);
  expect(adjust([4, 4, 4, 4], { logitBias, repetitionPenalty: 2, presencePenalty: 1 })).toEqual([5, 2, -5, 1]);
});

test("what is not finite stays as it is", () => {
  const logits = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const logitBias = new Map([
    [0, 1],
    [1, 1],
    [2, -1],
  ]);
  expect(adjust(logits, { logitBias, repetitionPenalty: 2 })).toEqual(logits);
});

test("an id that the mask lacks gets -infinity, whatever its bias; what is no number stays", () => {
  const logits = Float32Array.of(1, 2, Number.NaN, 4);
  const params = { ...NEUTRAL_SAMPLING, isConstrained: true, logitBias: new Map([[1, 100]]) };
  const never = Number.NEGATIVE_INFINITY;
  expect([...adjustLogits(logits, params, HISTORY, Uint32Array.of(0b1001))]).toEqual([1, never, Number.NaN, 4]);
  const wide = adjustLogits(new Float32Array(40), params, HISTORY, Uint32Array.of(0, 0b100));
  expect([...wide.keys()].filter((id) => wide[id] === 0)).toEqual([34]);
});
