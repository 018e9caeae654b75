import { MAX_GROUPS_PER_DIMENSION } from "../gpu/kernel";
import { assertClose, assertUntouched } from "../testing/kernel-asserts";
import { inNodeOnly, type KernelCase, type KernelTestContext } from "../testing/kernel-case";
import { checkLinear, DEFAULT_SHAPE, GELU, type LinearShape, SILU } from "../testing/linear-fixture";
import { padRows, roundWeights, unpadRows } from "../testing/matrices";
import { Random } from "../testing/random";
import { roundUp } from "../util/math";
import { allWeightModules } from "./all-weight-modules";
import { type GemvTokenTile, gemv, gemvGrid, gemvVariant, type Prologue, packGemvParams } from "./gemv";
import { rmsNorm } from "./reference/norm";

interface GemvRun extends LinearShape {
  readonly tokenTile: GemvTokenTile;
  readonly prologue: Prologue;
  /** Standard deviations. */
  readonly residual: number;
  readonly branch: number;
  readonly eps: number;
  /** The input rows, where they are not random. */
  readonly x?: Float32Array<ArrayBuffer>;
  /** The weights, where they are not random. */
  readonly weights?: Float32Array<ArrayBuffer>;
}

const DEFAULT: GemvRun = { ...DEFAULT_SHAPE, tokenTile: 1, prologue: "none", residual: 1, branch: 1, eps: 1e-6 };

/** GEMV reads whole tiles, so its buffers hold at least this many tokens. */
const CAPACITY = 8;

function makeData(run: GemvRun) {
  const { width, numTokens, numRows, weightType, prologue, eps } = run;
  const random = new Random(width * numRows + numTokens);
  const x = run.x ?? random.normalArray(numTokens * width, run.residual);
  const y = random.normalArray(numTokens * width, run.branch);
  const weights = roundWeights(weightType, run.weights ?? random.normalArray(numRows * width), width);
  const postWeight = random.normalArray(width);
  const normWeight = random.normalArray(width);
  const rowOf = (values: Float32Array, t: number) => values.subarray(t * width, (t + 1) * width);
  const residual = Float64Array.from(x);
  const inputs = Float64Array.from(x);
  for (let t = 0; t < numTokens; t++) {
    if (prologue === "post-norm") {
      const normed = rmsNorm(rowOf(y, t), postWeight, eps);
      for (let i = 0; i < width; i++) residual[t * width + i] += normed[i];
    }
    const row = residual.subarray(t * width, (t + 1) * width);
    inputs.set(prologue === "none" ? row : rmsNorm(row, normWeight, eps), t * width);
  }
  return { x, y, weights, postWeight, normWeight, residual, inputs };
}

async function check(ctx: KernelTestContext, run: GemvRun): Promise<void> {
  const { width, numTokens, prologue, eps } = run;
  const data = makeData(run);
  const stride = roundUp(width, 8);
  // A row of NaN, then the two norms; their padding is zero, as the engine's buffer is.
  const norms = new Float32Array(3 * stride).fill(Number.NaN, 0, stride);
  norms.set(data.postWeight, stride);
  norms.set(data.normWeight, 2 * stride);
  const xOut = ctx.empty("x_out", (numTokens + 1) * stride * 4);
  const shared = {
    x: ctx.upload("x", padRows(data.x, width, CAPACITY)),
    y: ctx.upload("y", padRows(data.y, width, CAPACITY)),
    norms: ctx.upload("norms", norms),
    x_out: xOut,
  };
  const pipeline = await ctx.pipelines.get(
    gemv,
    gemvVariant(ctx.variant, { ...run, weightModules: allWeightModules[run.weightType] }),
  );
  await checkLinear(ctx, run, data, async ({ step, out, slices }) => {
    slices.forEach(({ weights, output }, i) => {
      const offsets = { normOffset: (2 * stride) / 8, postOffset: stride / 8 };
      const params = packGemvParams({ ...output, ...offsets, eps, storesX: i === slices.length - 1 });
      const bindGroup = pipeline.bind("gemv", {
        ...shared,
        params: ctx.buffers.uniform("params", params),
        step: step,
        weights: weights,
        out: out,
      });
      ctx.dispatch(pipeline, bindGroup, gemvGrid(output.numRows, numTokens, run.tokenTile));
    });
  });
  const words = await ctx.readU32(xOut);
  const isStored = prologue === "post-norm";
  assertUntouched("x_out", words, (i) => isStored && i < numTokens * stride);
  if (!isStored) return;
  assertClose("x_out", unpadRows(new Float32Array(words.buffer), width, numTokens), data.residual, width);
}

function matches(name: string, runs: readonly Partial<GemvRun>[]): KernelCase {
  return {
    name: `gemv: ${name}`,
    ignoresF16: true,
    async run(ctx) {
      for (const run of runs) await check(ctx, { ...DEFAULT, ...run });
    },
  };
}

const GATES = [1, 0, 1e-20, 0.5, -0.5, 3, -3, -9, 12, -12, 50, -50, 87, -87, -89, 1e4, -1e4, 1e30, -1e30];

/** Rows (gate, up) that multiply an input of one element, with ups that bring all outputs of the row to 1 or less. */
const extremeGates: Partial<GemvRun> = {
  width: 1,
  numRows: 2 * GATES.length,
  x: Float32Array.of(1),
  weights: Float32Array.from(GATES.flatMap((gate) => [gate, 1 / Math.max(1, Math.abs(gate))])),
};

export const gemvCases: readonly KernelCase[] = [
  matches("numbers of rows that do and do not fill a workgroup", [
    ...[1, 2, 3, 4, 5, 47].map((numRows) => ({ numRows })),
  ]),
  inNodeOnly(
    matches("width 1, f16, more groups than a grid's dimension", [
      { width: 1, weightType: "f16", numRows: 2 * MAX_GROUPS_PER_DIMENSION + 6, tokenTile: 4, numTokens: 5 },
      { width: 1, weightType: "f16", numRows: 1, tokenTile: 4 },
    ]),
  ),
  matches("width 7, bf16", [{ width: 7, weightType: "bf16" }]),
  matches("width 13, f32, tile not filled", [
    ...[1, 2].map((numTokens) => ({ width: 13, tokenTile: 4 as const, numTokens })),
  ]),
  matches("width 65, bf16, tile of four tokens, over each part that it serves", [
    ...[3, 4].map((numTokens) => ({ width: 65, weightType: "bf16" as const, tokenTile: 4 as const, numTokens })),
    { width: 65, weightType: "bf16", tokenTile: 4, numTokens: 3, part: "logit-rows" },
    { width: 65, weightType: "bf16", tokenTile: 4, numTokens: 5, part: "gemv-tokens" },
  ]),
  matches("width 64, f16, one and two tiles", [
    ...[1, 4, 5, 8].map((numTokens) => ({ width: 64, weightType: "f16" as const, tokenTile: 4 as const, numTokens })),
  ]),
  matches("width 523, more units than threads", [{ width: 523 }]),
  matches("q8_0 and q4_0, widths that no block divides, by slices", [
    { weightType: "q8_0", width: 172 },
    { weightType: "q4_0", width: 300, sliceStarts: [0, 18] },
  ]),
  inNodeOnly(matches("q4_0, tiles of four tokens", [{ weightType: "q4_0", width: 40, tokenTile: 4, numTokens: 5 }])),
  matches("gates of normed rows, by slices", [
    ...[{}, { residual: 1e5 }, { residual: 1e-20, eps: 1e-5 }].map((scale) => {
      return { ...scale, prologue: "norm" as const, epilogue: SILU, numRows: 46, sliceStarts: [0, 18] };
    }),
  ]),
  matches("post-normed rows, stored by one slice, then normed", [
    { prologue: "post-norm", tokenTile: 4, numTokens: 2, sliceStarts: [0, 12, 22] },
    { prologue: "post-norm", tokenTile: 4, numTokens: 1, residual: 1e5, branch: 1e5 },
    { prologue: "post-norm", tokenTile: 4, numTokens: 7, epilogue: GELU, numRows: 46 },
    { prologue: "post-norm", tokenTile: 4, numTokens: 2, residual: 1e-3, branch: 1e-20, eps: 1e-5 },
  ]),
  matches("the sums are added to the output, by slices", [
    { epilogue: { kind: "add" }, width: 13, tokenTile: 4, numTokens: 2, sliceStarts: [0, 30] },
  ]),
  matches("gates of all magnitudes, SiLU", [{ ...extremeGates, epilogue: SILU }]),
  matches("gates of all magnitudes, GELU", [{ ...extremeGates, epilogue: GELU }]),
];
