import { randomUniform } from "../sampling/random";
import { type SampleSupport, sampleSupport } from "../sampling/sample";
import { hasPenalties, NEUTRAL_SAMPLING, type SamplingParams } from "../sampling/sampling-params";
import { assertSame, assertUntouched } from "../testing/kernel-asserts";
import { inNodeOnly, type KernelCase, type KernelTestContext, NAN_WORD } from "../testing/kernel-case";
import { Random } from "../testing/random";
import { type SampledRow, samplingStep } from "../testing/sampling-step";
import { assert } from "../util/errors";
import { countTokens } from "./adjust-logits";
import { SAMPLED_NOT_FINITE, sample, sampleGrid, sampleVariant } from "./sample";
import { packLogitParams } from "./sampling-row";

/** Masses and probabilities this near to a boundary may fall on either side: f32 sums against float64. */
const MARGIN = 1e-5;

interface Draw {
  readonly logits: Float32Array;
  readonly params: SamplingParams;
  readonly position: number;
}

interface Drawn {
  readonly id: number;
  readonly finite: boolean;
}

const OFF: SamplingParams = { ...NEUTRAL_SAMPLING, seed: [1, 2] };

const normal = (size: number, deviation = 3) => new Random(size).normalArray(size, deviation);
const flat = (size: number, logit = 0.37) => new Float32Array(size).fill(logit);
/** Few distinct logits, so that every threshold falls among ties. */
const tied = (size: number) => Float32Array.from(new Random(size).intArray(size, -2, 3));
const masked = (size: number) => normal(size).map((logit, id) => (id % 3 === 1 ? logit : Number.NEGATIVE_INFINITY));

interface GpuDraws {
  readonly drawn: readonly Drawn[];
  /** The token counts [draw][id] after the step. */
  readonly counts: readonly Uint32Array[];
}

/** Samples all `draws`, one logit row each, in one dispatch; see samplingStep. `adjusted`: logits of the adjusted rows. */
async function sampleStep(
  ctx: KernelTestContext,
  draws: readonly SampledRow[],
  adjusted: readonly Float32Array[] = [],
): Promise<GpuDraws> {
  const numDraws = draws.length;
  const { numLogits, stride, adjustedRow, ...buffers } = samplingStep(ctx, draws);
  adjusted.forEach((logits, r) => {
    ctx.gpu.device.queue.writeBuffer(buffers.logits, (adjustedRow + r) * stride * 4, Float32Array.from(logits));
  });
  const lastIds = ctx.empty("last_ids", 4 * numDraws);
  const sampled = ctx.empty("sampled", 8 * (numDraws + 1));
  const pipeline = await ctx.pipelines.get(sample, sampleVariant(ctx.variant));
  const bindGroup = pipeline.bind("sample", {
    params: ctx.buffers.uniform("params", packLogitParams(numLogits, stride, adjustedRow)),
    step: buffers.step,
    logits: buffers.logits,
    rows: buffers.rows,
    last_ids: lastIds,
    sampled: sampled,
    token_counts: buffers.tokenCounts,
  });
  ctx.dispatch(pipeline, bindGroup, sampleGrid(numDraws + 1));
  const results = await ctx.readU32(sampled, 2 * (numDraws + 1));
  const ids = await ctx.readU32(lastIds, numDraws);
  const counts = await ctx.readU32(buffers.tokenCounts, numDraws * numLogits);
  assert(results[2 * numDraws] === NAN_WORD, "a logit row past the step's last one was sampled");
  const drawn = draws.map((_, r) => {
    const [id, flags] = results.subarray(2 * r);
    assert(ids[numDraws - 1 - r] === id, `draw ${r}: sampled ${id}, last id ${ids[numDraws - 1 - r]}`);
    return { id, finite: (flags & SAMPLED_NOT_FINITE) === 0 };
  });
  const countsOf = (r: number) => counts.subarray((numDraws - 1 - r) * numLogits, (numDraws - r) * numLogits);
  return { drawn, counts: draws.map((_, r) => countsOf(r)) };
}

async function sampleOnGpu(ctx: KernelTestContext, draws: readonly Draw[]): Promise<readonly Drawn[]> {
  const { drawn, counts } = await sampleStep(
    ctx,
    draws.map((draw) => ({ ...draw, history: null })),
  );
  for (const words of counts) assertUntouched("token counts", words, () => false);
  return drawn;
}

/** Supports of the definition with top-p and min-p off by `margin` either way. */
function nearSupports({ logits, params, position }: Draw, margin: number): SampleSupport[] {
  const shifts = [0, margin, -margin];
  const topPs = params.topP < 1 ? shifts.map((shift) => Math.max(0, params.topP + shift)) : [params.topP];
  const minPs = params.minP > 0 ? shifts.map((shift) => params.minP * (1 + shift)) : [params.minP];
  return topPs.flatMap((topP) => minPs.map((minP) => sampleSupport(logits, { ...params, topP, minP }, position)));
}

function canDraw({ ids, probabilities }: SampleSupport, u: number, id: number): boolean {
  const index = ids.indexOf(id);
  if (index < 0) return false;
  const before = probabilities.slice(0, index).reduce((sum, probability) => sum + probability, 0);
  return before <= u + MARGIN && before + probabilities[index] > u - MARGIN && probabilities[index] > 0;
}

/** One case: `numPositions` draws for each of `settings`, compared id by id with the definition. */
function matches(
  name: string,
  logits: Float32Array,
  settings: readonly Partial<SamplingParams>[],
  { numPositions = 12, supportMargin = MARGIN } = {},
): KernelCase {
  return {
    name: `sample: ${name}`,
    ignoresF16: true,
    async run(ctx) {
      const groups = settings.map((setting) => {
        const params = { ...OFF, ...setting };
        return Array.from({ length: numPositions }, (_, position) => ({ logits, params, position }));
      });
      const drawn = await sampleOnGpu(ctx, groups.flat());
      groups.forEach((draws, group) => {
        const supports = nearSupports(draws[0], supportMargin);
        draws.forEach(({ params, position }, i) => {
          const { id, finite } = drawn[group * numPositions + i];
          const u = randomUniform(params.seed, position);
          const isRight = finite && supports.some((support) => canDraw(support, u, id));
          assert(
            isRight,
            () => `${JSON.stringify(params)}, position ${position}: drew ${id}, finite ${finite}, u ${u}`,
          );
        });
      });
    },
  };
}

const SETTINGS: readonly Partial<SamplingParams>[] = [
  { temperature: 0 },
  {},
  { topK: 1 },
  { topK: 5 },
  { topK: 64, topP: 0.95 },
  { topP: 0 },
  { topP: 0.5, seed: [0xffffffff, 0x80000001] },
  { topP: 0.999 },
  { minP: 0.05 },
  { minP: 1 },
  { temperature: 0.7, topK: 200, topP: 0.9, minP: 0.02 },
  { temperature: 1e-6 },
  { temperature: 1e6, topP: 0.3 },
  { temperature: 5, topK: 1_000_000, topP: 0.6 },
];

const matchCases: readonly KernelCase[] = [1, 2, 7, 255, 256, 257, 512, 2048, 5003].flatMap((size) => [
  matches(`${size} normal logits`, normal(size), SETTINGS, { numPositions: size > 1000 ? 4 : 12 }),
  matches(`${size} logits with ties`, tied(size), SETTINGS, { numPositions: size > 1000 ? 4 : 12 }),
]);

const edgeCases: readonly KernelCase[] = [
  matches("logits masked with -infinity", masked(600), SETTINGS),
  matches("all but one masked", flat(300, Number.NEGATIVE_INFINITY).with(299, -5), SETTINGS),
  matches(
    "0 and -0 are equal",
    flat(64, 0).map((zero, id) => (id % 2 ? -zero : zero)),
    SETTINGS,
  ),
  matches("logits over the whole range of f32", Float32Array.of(3e38, -3e38, 1e-40, 3e38, -1e30), [
    ...SETTINGS,
    { temperature: 3e38 },
  ]),
  inNodeOnly(
    matches("262,144 logits", normal(262_144), [{}, { topK: 64, topP: 0.95 }, { topP: 0.9, minP: 1e-4 }], {
      numPositions: 2,
    }),
  ),
  matches(
    "top-p over a flat distribution",
    flat(2048),
    [0.1, 0.25, 0.5, 0.9, 0.99999].map((topP) => ({ topP })),
    { numPositions: 64, supportMargin: 0 }, // All masses are integers, so nothing is rounded.
  ),
  matches("top-p within the ties that top-k kept", flat(2048), [
    { topK: 1000, topP: 0.3333 },
    { topK: 3, topP: 0.5 },
  ]),
];

const notFiniteCase: KernelCase = {
  name: "sample: NaN, +infinity and rows without a finite logit are flagged",
  ignoresF16: true,
  async run(ctx) {
    const size = 515;
    const bad = [Number.NaN, Number.POSITIVE_INFINITY].flatMap((value) =>
      [0, 200, size - 1].map((id) => normal(size).with(id, value)),
    );
    const allLogits = [normal(size), ...bad, flat(size, Number.NEGATIVE_INFINITY), masked(size)];
    for (const temperature of [0, 1]) {
      const params = { ...OFF, temperature, topK: 3 };
      const drawn = await sampleOnGpu(
        ctx,
        allLogits.map((logits) => ({ logits, params, position: 9 })),
      );
      const isSound = allLogits.map((_, index) => index === 0 || index === allLogits.length - 1);
      drawn.forEach(({ id, finite }, index) => {
        assert(finite === isSound[index], `row ${index} at temperature ${temperature}: finite is ${finite}`);
        assert(finite || id === 0, `row ${index}: an id that means nothing is ${id}`);
      });
    }
  },
};

const adjustedCase: KernelCase = {
  name: "sample: adjusted logits where the request wants them, and ids are counted where it has penalties",
  ignoresF16: true,
  async run(ctx) {
    const size = 515;
    const logits = normal(size).with(1, 50);
    const adjusted = normal(size).with(2, 50);
    const settings = [
      {},
      { presencePenalty: 1 },
      { logitBias: new Map([[3, 1]]) },
      { repetitionPenalty: 0.5, topK: 9 },
    ];
    const draws = settings.map((setting) => {
      const params = { ...OFF, ...setting };
      const history = hasPenalties(params) ? { promptTokenIds: [2, 4], outputTokenIds: [4, 4] } : null;
      return { logits, params, position: 3, history };
    });
    const { drawn, counts } = await sampleStep(ctx, draws, [adjusted, adjusted, adjusted, adjusted]);
    assertSame(
      "ids",
      drawn.map(({ id }) => id),
      [1, 2, 2, 2],
    );
    draws.forEach(({ history }, index) => {
      if (history === null) {
        assertUntouched("token counts", counts[index], () => false);
        return;
      }
      assertSame(
        "token counts",
        counts[index],
        countTokens(size, history.promptTokenIds, [...history.outputTokenIds, 2]),
      );
    });
  },
};

/** Seen counts against expected ones; the critical value is Wilson and Hilferty's approximation at p = 1e-4. */
function assertChiSquared(seen: readonly number[], expected: readonly number[]): void {
  const statistic = seen.reduce((sum, count, i) => sum + (count - expected[i]) ** 2 / expected[i], 0);
  const ratio = 2 / (9 * (seen.length - 1));
  const critical = (seen.length - 1) * (1 - ratio + 3.719 * Math.sqrt(ratio)) ** 3;
  assert(Math.min(...expected) >= 5, "too few draws for a chi-squared test");
  assert(statistic < critical, `chi-squared is ${statistic}, at most ${critical} expected`);
}

/** Draws at positions 0 to numDraws - 1 follow the definition's distribution. */
function followsDistribution(name: string, setting: Partial<SamplingParams>, numDraws: number): KernelCase {
  return {
    name: `sample: ${numDraws.toLocaleString("en")} draws with ${name} follow the definition's distribution`,
    ignoresF16: true,
    isSlowInBrowser: true,
    async run(ctx) {
      const logits = normal(96, 1);
      const params = { ...OFF, ...setting };
      const { ids, probabilities } = sampleSupport(logits, params, 0);
      const seen = new Map(ids.map((id) => [id, 0]));
      const draws = Array.from({ length: numDraws }, (_, position) => ({ logits, params, position }));
      for (const { id } of await sampleOnGpu(ctx, draws)) {
        const count = seen.get(id);
        assert(count !== undefined, `id ${id} is not in the support`);
        seen.set(id, count + 1);
      }
      assertChiSquared(
        [...seen.values()],
        probabilities.map((probability) => probability * numDraws),
      );
    },
  };
}

const distributionCases: readonly KernelCase[] = [
  followsDistribution("temperature and min-p", { temperature: 1.3, minP: 0.02, seed: [3, 5] }, 20_000),
  followsDistribution("all parameters", { temperature: 0.9, topK: 30, topP: 0.97, minP: 0.01, seed: [7, 11] }, 2000),
];

export const sampleCases: readonly KernelCase[] = [
  ...matchCases,
  ...edgeCases,
  notFiniteCase,
  adjustedCase,
  ...distributionCases,
];
