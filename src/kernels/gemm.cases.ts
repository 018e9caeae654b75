import type { KernelCase, KernelTestContext } from "../testing/kernel-case";
import { checkLinear, DEFAULT_SHAPE, GELU, type LinearShape, SILU } from "../testing/linear-fixture";
import { padRows, roundWeights } from "../testing/matrices";
import { Random } from "../testing/random";
import { allWeightModules } from "./all-weight-modules";
import { gemm, gemmGrid, gemmVariant, packGemmParams } from "./gemm";
import { roundToF16 } from "./reference/float-bits";

interface GemmRun extends LinearShape {
  readonly boundedInput: boolean;
  /** Standard deviation of the input. */
  readonly input: number;
}

const DEFAULT: GemmRun = { ...DEFAULT_SHAPE, numTokens: 7, boundedInput: false, input: 1 };

async function check(ctx: KernelTestContext, run: GemmRun): Promise<void> {
  const { width, numTokens, numRows, weightType, boundedInput } = run;
  const random = new Random(width * numRows + numTokens);
  // Where tiles are f16 the values are made to fit them, so that the same bound holds.
  const representable = (values: Float32Array<ArrayBuffer>) =>
    ctx.variant.f16 && boundedInput ? roundToF16(values) : values;
  const inputs = representable(random.normalArray(numTokens * width, run.input));
  const weights = representable(roundWeights(weightType, random.normalArray(numRows * width), width));
  const x = ctx.upload("x", padRows(inputs, width, numTokens + 1));
  const pipeline = await ctx.pipelines.get(
    gemm,
    gemmVariant(ctx.variant, { boundedInput, weightModules: allWeightModules[weightType] }),
  );
  await checkLinear(ctx, run, { inputs, weights }, async ({ step, out, slices }) => {
    for (const { weights, output } of slices) {
      const bindGroup = pipeline.bind("gemm", {
        params: ctx.buffers.uniform("params", packGemmParams({ ...output, width })),
        step: step,
        x: x,
        weights: weights,
        out: out,
      });
      ctx.dispatch(pipeline, bindGroup, gemmGrid(output.numRows, numTokens));
    }
  });
}

/** With a bounded input the tiles are f16 where the device has it; without, f16 changes nothing. */
function matches(name: string, boundedInput: boolean, runs: readonly Partial<GemmRun>[]): KernelCase {
  return {
    name: `gemm: ${name}`,
    ignoresF16: !boundedInput,
    ignoresSubgroups: true,
    async run(ctx) {
      for (const run of runs) await check(ctx, { ...DEFAULT, ...run, boundedInput });
    },
  };
}

export const gemmCases: readonly KernelCase[] = [
  matches("f32, numbers of tokens and rows around a tile's", true, [
    ...[1, 2, 31, 32, 33, 67].map((numTokens) => ({ numTokens })),
    ...[1, 2, 63, 64, 65, 131].map((numRows) => ({ numRows, numTokens: 33 })),
  ]),
  matches("f32, widths around a unit and a tile", true, [
    ...[1, 7, 8, 13, 31, 32, 33, 65, 1031].map((width) => ({ width })),
  ]),
  matches("bf16, widths that no unit divides", true, [
    ...[7, 65, 172].map((width) => ({ width, weightType: "bf16" as const, numTokens: 33, numRows: 65 })),
  ]),
  matches("f16, widths that no unit divides", true, [
    ...[1, 13, 172].map((width) => ({ width, weightType: "f16" as const, numTokens: 33, numRows: 65 })),
  ]),
  matches("q8_0 and q4_0, widths that no block divides, by slices", false, [
    ...(["q8_0", "q4_0"] as const).flatMap((weightType) =>
      [1, 40, 172].map((width) => ({ weightType, width, numTokens: 33, numRows: 70, sliceStarts: [0, 6] })),
    ),
  ]),
  matches("inputs within and beyond the range of f16", false, [
    ...[1, 1e7, 1e-12].map((input) => ({ width: 65, weightType: "bf16" as const, input })),
  ]),
  matches("as many rows as there are logit rows", false, [{ width: 65, weightType: "bf16", part: "logit-rows" }]),
  matches("added to the output, by slices", true, [
    { width: 13, epilogue: { kind: "add" }, numTokens: 33, numRows: 131, sliceStarts: [0, 6, 70] },
  ]),
  matches("gates, SiLU, by slices", true, [
    { width: 7, epilogue: SILU, numTokens: 33, numRows: 134, sliceStarts: [0, 66] },
  ]),
  matches("gates, GELU, also of large sums", false, [
    ...[1, 1e6].map((input) => ({ width: 13, epilogue: GELU, numTokens: 5, numRows: 62, input })),
  ]),
];
