import { computeLogprobs } from "../sampling/logprobs";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { assertUntouched } from "../testing/kernel-asserts";
import { inNodeOnly, type KernelCase, NAN_WORD } from "../testing/kernel-case";
import { Random } from "../testing/random";
import { type SampledRow, samplingStep } from "../testing/sampling-step";
import { assert } from "../util/errors";
import { logprobs, logprobsGrid, logprobsVariant, unpackLogprobs } from "./logprobs";
import { SAMPLED_ROW_WORDS } from "./sample";
import { LOGPROBS_ROW_WORDS, packLogitParams } from "./sampling-row";

const normal = (size: number) => new Random(size).normalArray(size, 3);

/** Rows that want 5, 0, no, and `numTop` logprobs; the ids that "were sampled" are given. */
function matches(name: string, logits: Float32Array, numTop = 20): KernelCase {
  return {
    name: `logprobs: ${name}`,
    ignoresF16: true,
    async run(ctx) {
      const wanted = [Math.min(5, logits.length), 0, null, numTop];
      const sampledRows = wanted.map((numLogprobs): SampledRow => {
        const params = { ...NEUTRAL_SAMPLING, repetitionPenalty: 2, temperature: 0.5, numLogprobs };
        return { logits, params, position: 0, history: null };
      });
      const { stride, ...buffers } = samplingStep(ctx, sampledRows);
      const numRows = sampledRows.length;
      const firstWord = (numRows + 1) * SAMPLED_ROW_WORDS;
      const sampled = new Uint32Array(firstWord + (numRows + 1) * LOGPROBS_ROW_WORDS).fill(NAN_WORD);
      const ids = wanted.map((_, r) => (r * 101) % logits.length);
      for (const [r, id] of ids.entries()) sampled.set([id, 0], r * SAMPLED_ROW_WORDS);
      const sampledBuffer = ctx.upload("sampled", sampled);
      const pipeline = await ctx.pipelines.get(logprobs, logprobsVariant(ctx.variant));
      const bindGroup = pipeline.bind("logprobs", {
        params: ctx.buffers.uniform("params", packLogitParams(logits.length, stride, numRows + 1)),
        step: buffers.step,
        logits: buffers.logits,
        rows: buffers.rows,
        sampled: sampledBuffer,
      });
      ctx.dispatch(pipeline, bindGroup, logprobsGrid(numRows + 1));
      const words = await ctx.readU32(sampledBuffer, sampled.length);
      const rowOf = (index: number) => Math.floor(index / LOGPROBS_ROW_WORDS);
      assertUntouched("logprobs", words.subarray(firstWord), (index) => {
        const numLogprobs = wanted[rowOf(index)] ?? null;
        return numLogprobs !== null && index % LOGPROBS_ROW_WORDS < 2 + 2 * numLogprobs;
      });
      wanted.forEach((numLogprobs, r) => {
        if (numLogprobs === null) return;
        const actual = unpackLogprobs(words.subarray(firstWord + r * LOGPROBS_ROW_WORDS), numLogprobs);
        const expected = computeLogprobs(logits, ids[r], numLogprobs);
        const pairs = [
          [ids[r], expected.logprob, ids[r], actual.logprob],
          ...expected.top.map((pair, i) => [...pair, ...actual.top[i]]),
        ];
        for (const [id, logprob, actualId, actualLogprob] of pairs) {
          const isNear =
            Object.is(logprob, actualLogprob) || Math.abs(logprob - actualLogprob) <= 2e-6 * Math.max(1, -logprob);
          assert(actualId === id && isNear, `row ${r}: id ${actualId}: ${actualLogprob}, expected ${id}: ${logprob}`);
        }
      });
    },
  };
}

export const logprobsCases: readonly KernelCase[] = [
  matches("one logit", normal(1), 1),
  matches("5,003 logits", normal(5003)),
  matches("ties go to the lowest id", Float32Array.from(new Random(1).intArray(600, -2, 3))),
  matches(
    "0 and -0 are equal, masks stay masks",
    Float32Array.from({ length: 40 }, (_, id) => [0, -0, Number.NEGATIVE_INFINITY][id % 3]),
  ),
  inNodeOnly(matches("262,144 logits", normal(262_144), 3)),
];
