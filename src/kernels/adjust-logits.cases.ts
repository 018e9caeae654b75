import { adjustLogits as adjustByDefinition } from "../sampling/adjust-logits";
import { NEUTRAL_SAMPLING, type SamplingParams } from "../sampling/sampling-params";
import { assertUntouched } from "../testing/kernel-asserts";
import { type KernelCase, NAN_WORD } from "../testing/kernel-case";
import { Random } from "../testing/random";
import { type SampledRow, samplingStep } from "../testing/sampling-step";
import { assert } from "../util/errors";
import { adjustLogits, adjustLogitsGrid, adjustLogitsVariant, packBiases } from "./adjust-logits";
import { BIAS_ROW_WORDS, maskRowWords, packLogitParams } from "./sampling-row";

const NO_HISTORY = { promptTokenIds: [], outputTokenIds: [] };

const SETTINGS: readonly Partial<SamplingParams>[] = [
  {},
  { repetitionPenalty: 1.3 },
  { presencePenalty: 0.6, frequencyPenalty: -0.25 },
  { logitBias: new Map([[3, 100]]) },
  { repetitionPenalty: 0.7, presencePenalty: -1, frequencyPenalty: 1.5, logitBias: new Map([[0, -2.5]]) },
  { isConstrained: true },
  { isConstrained: true, repetitionPenalty: 1.2, logitBias: new Map([[1, 100]]) },
];

/** One row a setting, with ids of prompt and output that overlap, and biases for some of them. */
function makeRows(size: number): SampledRow[] {
  const random = new Random(size);
  return SETTINGS.map((setting, index) => {
    const ids = (count: number) => Array.from({ length: count }, () => random.int(0, size));
    const logitBias = new Map(setting.logitBias ?? []);
    if (logitBias.size > 0) for (const id of ids(Math.min(size, 400))) logitBias.set(id, random.uniform(-9, 9));
    const hasHistory = setting.repetitionPenalty !== undefined || setting.presencePenalty !== undefined;
    const outputTokenIds = ids(40);
    const history = { promptTokenIds: [...ids(30), outputTokenIds[0]], outputTokenIds };
    const logits = random.normalArray(size, 4);
    if (index > 0) logits.set([Number.NEGATIVE_INFINITY, Number.NaN, Number.POSITIVE_INFINITY], size - 3);
    return {
      logits,
      params: { ...NEUTRAL_SAMPLING, ...setting, logitBias },
      position: 0,
      history: hasHistory ? history : null,
    };
  });
}

function matches(size: number): KernelCase {
  return {
    name: `adjust_logits: ${size} logits, each row by its own bias, penalties and mask`,
    ignoresF16: true,
    ignoresSubgroups: true,
    async run(ctx) {
      const sampledRows = makeRows(size);
      const masks = makeMasks(sampledRows);
      const { stride, adjustedRow, logitWords, ...buffers } = samplingStep(ctx, sampledRows);
      const pipeline = await ctx.pipelines.get(adjustLogits, adjustLogitsVariant);
      const bindGroup = pipeline.bind("adjust_logits", {
        params: ctx.buffers.uniform("params", packLogitParams(size, stride, adjustedRow)),
        step: buffers.step,
        rows: buffers.rows,
        token_counts: buffers.tokenCounts,
        biases: ctx.upload("biases", biasWords(sampledRows)),
        masks: ctx.upload("masks", maskWords(sampledRows, masks)),
        logits: buffers.logits,
      });
      ctx.dispatch(pipeline, bindGroup, adjustLogitsGrid(sampledRows.length + 1));
      const words = await ctx.readU32(buffers.logits);
      const numOwnWords = adjustedRow * stride;
      const isOwn = words.subarray(0, numOwnWords).every((word, index) => word === logitWords[index]);
      assert(isOwn, "the model's own logits were changed");
      assertUntouched("adjusted logits", words.subarray(numOwnWords), (index) => {
        const row = Math.floor(index / stride);
        return row > 0 && row < sampledRows.length && index % stride < size;
      });
      for (const [r, sampled] of sampledRows.entries()) {
        if (r > 0) checkRow(sampled, masks[r], words.subarray(numOwnWords + r * stride));
      }
    },
  };
}

function biasWords(sampledRows: readonly SampledRow[]): Uint32Array {
  const words = new Uint32Array(BIAS_ROW_WORDS * sampledRows.length).fill(NAN_WORD);
  sampledRows.forEach(({ params }, r) => {
    words.set(packBiases(params.logitBias), BIAS_ROW_WORDS * (sampledRows.length - 1 - r));
  });
  return words;
}

/** About a third of the ids are allowed. Null for a row that is not constrained: the mask there is that of a request before. */
function makeMasks(sampledRows: readonly SampledRow[]): (Uint32Array | null)[] {
  return sampledRows.map(({ logits, params }, r) => {
    if (!params.isConstrained) return null;
    const random = new Random(r);
    return Uint32Array.from({ length: maskRowWords(logits.length) }, () => {
      const [a, b] = [0, 0].map(() => random.int(0, 2 ** 32));
      return a & b;
    });
  });
}

function maskWords(sampledRows: readonly SampledRow[], masks: readonly (Uint32Array | null)[]): Uint32Array {
  const numWords = maskRowWords(sampledRows[0].logits.length);
  const words = new Uint32Array(numWords * sampledRows.length);
  masks.forEach((mask, r) => {
    if (mask) words.set(mask, numWords * (sampledRows.length - 1 - r));
  });
  return words;
}

function checkRow({ logits, params, history }: SampledRow, mask: Uint32Array | null, words: Uint32Array): void {
  const expected = adjustByDefinition(logits, params, history ?? NO_HISTORY, mask);
  const actual = new Float32Array(Uint32Array.from(words).buffer);
  expected.forEach((value, id) => {
    const isRight = Number.isFinite(value)
      ? Math.abs(actual[id] - value) <= 1e-6 * Math.max(1, Math.abs(value), Math.abs(logits[id]))
      : Object.is(actual[id], value);
    assert(isRight, () => `${JSON.stringify(params)}: logit ${id} is ${actual[id]}, ${value} expected`);
  });
}

export const adjustLogitsCases: readonly KernelCase[] = [4, 257, 5003].map(matches);
