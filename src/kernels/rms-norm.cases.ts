import { MAX_GROUPS_PER_DIMENSION } from "../gpu/kernel";
import { assertClose, assertSame, assertUntouched } from "../testing/kernel-asserts";
import type { KernelCase, KernelTestContext } from "../testing/kernel-case";
import { padRows, unpadRows } from "../testing/matrices";
import { Random } from "../testing/random";
import { type TestRequest, testStep, uploadStep } from "../testing/test-step";
import { roundUp } from "../util/math";
import { rmsNorm as reference } from "./reference/norm";
import { packRmsNormParams, rmsNorm, rmsNormGrid, rmsNormVariant } from "./rms-norm";

interface NormRun {
  readonly width: number;
  readonly post: boolean;
  readonly gather: boolean;
  readonly requests: readonly TestRequest[];
  /** Standard deviation of the residual and of the branch. */
  readonly residual?: number;
  readonly branch?: number;
  readonly eps?: number;
}

const rowsOf = (values: Float32Array, width: number) =>
  Array.from({ length: values.length / width }, (_, row) => values.subarray(row * width, (row + 1) * width));

async function check(ctx: KernelTestContext, run: NormRun): Promise<void> {
  const { width, post, gather, residual = 1, branch = 1, eps = 1e-6 } = run;
  const step = testStep(run.requests);
  const { numTokens, numLogitRows } = step.shape;
  const numRows = gather ? numLogitRows : numTokens;
  const random = new Random(width);
  const x = random.normalArray(numTokens * width, residual);
  const y = random.normalArray(numTokens * width, branch);
  const weights = [random.normalArray(width), random.normalArray(width)];
  const stride = roundUp(width, 8);
  // The norm's weight comes second, after one row of NaN; its padding is zero, as the engine's buffer is.
  const norms = new Float32Array(3 * stride).fill(Number.NaN, 0, stride);
  norms.set(weights[0], stride);
  norms.set(weights[1], 2 * stride);

  const out = ctx.empty("out", (numRows + 1) * stride * 4);
  const xBuffer = ctx.upload("x", padRows(x, width, numTokens + 1));
  const pipeline = await ctx.pipelines.get(rmsNorm, rmsNormVariant(ctx.variant, { width, post, gather }));
  const bindGroup = pipeline.bind("rms_norm", {
    params: ctx.buffers.uniform("params", packRmsNormParams((2 * stride) / 8, stride / 8, eps, "tokens")),
    step: uploadStep(ctx, step),
    y: ctx.upload("y", padRows(y, width, numTokens + 1)),
    norms: ctx.upload("norms", norms),
    x: xBuffer,
    out: out,
  });
  ctx.dispatch(pipeline, bindGroup, rmsNormGrid(numRows));

  const logitTokens = Array.from({ length: numLogitRows }, (_, r) => step.words[4 * (step.words[6] + r)]);
  const tokens = gather ? logitTokens : Array.from({ length: numTokens }, (_, t) => t);
  const expectedX = rowsOf(x, width).map((row) => Float64Array.from(row));
  if (post) {
    const branches = rowsOf(y, width);
    for (const t of tokens) {
      const normed = reference(branches[t], weights[0], eps);
      expectedX[t] = expectedX[t].map((value, i) => value + normed[i]);
    }
  }
  const expected = tokens.flatMap((t) => [...reference(expectedX[t], weights[1], eps)]);
  const words = await ctx.readU32(out);
  assertUntouched("out", words, (i) => i < numRows * stride);
  assertClose("out", unpadRows(new Float32Array(words.buffer), width, numRows), expected, width);
  const newX = unpadRows(await ctx.readF32(xBuffer), width, numTokens);
  const flatX = expectedX.flatMap((row) => [...row]);
  if (post) assertClose("x", newX, flatX, width);
  else assertSame("x", newX, x);
}

function matches(name: string, runs: readonly NormRun[]): KernelCase {
  return {
    name: `rms_norm: ${name}`,
    ignoresF16: true,
    async run(ctx) {
      for (const run of runs) await check(ctx, run);
    },
  };
}

/** Requests of 1, 5 and 1 tokens; the second does not sample. */
const mixed: readonly TestRequest[] = [
  { numTokens: 1, row: 4, samples: true },
  { numTokens: 5, row: 1 },
  { numTokens: 3, row: 6, samples: true },
];
const plain = { post: false, gather: false, requests: mixed } as const;
const tokens = (numTokens: number): readonly TestRequest[] => [{ numTokens }];

export const rmsNormCases: readonly KernelCase[] = [
  ...[1, 13, 172].map((width) => matches(`rows of ${width}`, [{ ...plain, width }])),
  matches("more units than threads", [{ ...plain, width: 521 }]),
  matches("one token", [{ ...plain, width: 13, requests: tokens(1) }]),
  matches("a post-norm is added to the residual first", [
    { ...plain, width: 172, post: true },
    { ...plain, width: 172, post: true, requests: tokens(1) },
  ]),
  matches("only the rows that get logits, post-normed", [{ ...plain, width: 13, gather: true, post: true }]),
  matches("residuals of 1e5 and of 1e-20", [
    { ...plain, width: 172, residual: 1e5 },
    { ...plain, width: 172, residual: 1e-20 },
    { ...plain, width: 172, post: true, residual: 1e5, branch: 1e5 },
    { ...plain, width: 172, post: true, residual: 1e-20, branch: 1e-20, eps: 1e-5 },
  ]),
  matches("more rows than a grid's dimension", [
    { ...plain, width: 7, requests: tokens(MAX_GROUPS_PER_DIMENSION + 2) },
  ]),
];
