import { gemm, gemmGrid, gemmVariant, packGemmParams } from "../../kernels/gemm";
import { GEMV_TOKEN_TILES, gemv, gemvGrid, gemvVariant, type Prologue, packGemvParams } from "../../kernels/gemv";
import type { Epilogue, LinearOutput } from "../../kernels/linear";
import type { StepPart } from "../../kernels/step-part";
import type { LayerContext } from "../build-context";
import { numRowsOf, type Op } from "../step-shape";
import type { Linear, LinearSlice } from "../weights";

export interface LinearOptions {
  readonly linear: Linear;
  readonly input: GPUBuffer;
  readonly output: GPUBuffer;
  /** Elements from one row of the output to the next. */
  readonly outStride: number;
  readonly rows: "tokens" | "logit-rows";
  readonly epilogue: Epilogue;
  /** The input stays in f16's range. */
  readonly boundedInput: boolean;
}

/** RMSNorm of the input inside the matmul; `post` also adds norm(branch) to the residual and stores it in `nextResidual`. */
export interface FusedNorm {
  readonly normOffset: number;
  readonly post: { readonly offset: number; readonly branch: GPUBuffer; readonly nextResidual: GPUBuffer } | null;
}

/** output = input x weights^T. */
export async function buildLinear(context: LayerContext, options: LinearOptions): Promise<Op> {
  const [gemvOp, gemmOp] = await Promise.all([buildGemv(context, options, null), buildGemm(context, options)]);
  if (options.rows === "logit-rows") {
    return (encoder, step) => (step.numLogitRows <= context.gemvUpToTokens ? gemvOp : gemmOp)(encoder, step);
  }
  return (encoder, step) => {
    gemvOp(encoder, step);
    gemmOp(encoder, step);
  };
}

/** The part of it that goes through GEMV: the step's GEMV tokens, or all logit rows where they are few. */
export async function buildGemv(context: LayerContext, options: LinearOptions, norm: FusedNorm | null): Promise<Op> {
  const { width, weightModules } = options.linear;
  const { linear } = options;
  const tiles = GEMV_TOKEN_TILES.filter((tile) => context.gemvUpToTokens >= (tile === 1 ? 1 : 2));
  const prologue: Prologue = norm === null ? "none" : norm.post ? "post-norm" : "norm";
  const pipelines = await Promise.all(
    tiles.map((tokenTile) =>
      context.pipelines.get(gemv, gemvVariant(context.variant, { width, weightModules, tokenTile, prologue })),
    ),
  );
  if (pipelines.length === 0) return () => {};
  const part = options.rows === "tokens" ? "gemv-tokens" : "logit-rows";
  const slices = linear.slices.map((slice) => {
    const params = packGemvParams({
      ...outputParams(options, slice, part),
      normOffset: (norm?.normOffset ?? 0) / 8,
      postOffset: (norm?.post?.offset ?? 0) / 8,
      eps: context.config.rmsNormEps,
      storesX: slice.firstRow === 0,
    });
    const bindGroup = pipelines[0].bind(`gemv.${linear.name}`, {
      params: context.buffers.uniform(`gemv.${linear.name}.params`, params),
      step: context.step,
      x: options.input,
      y: norm?.post?.branch ?? context.weights.norms,
      norms: context.weights.norms,
      weights: slice.buffer,
      x_out: norm?.post?.nextResidual ?? context.scratch.unused,
      out: options.output,
    });
    return { bindGroup, numRows: slice.numRows };
  });
  return (encoder, step) => {
    const count = numRowsOf(part, step);
    if (count === 0) return;
    const tile = count === 1 ? 0 : 1;
    for (const { bindGroup, numRows } of slices) {
      encoder.dispatch(pipelines[tile], bindGroup, gemvGrid(numRows, count, GEMV_TOKEN_TILES[tile]));
    }
  };
}

/** The part of it that goes through GEMM: the step's other tokens, or all logit rows. */
export async function buildGemm(context: LayerContext, options: LinearOptions): Promise<Op> {
  const { linear, boundedInput } = options;
  const pipeline = await context.pipelines.get(
    gemm,
    gemmVariant(context.variant, { weightModules: linear.weightModules, boundedInput }),
  );
  const part = options.rows === "tokens" ? "gemm-tokens" : "logit-rows";
  const slices = linear.slices.map((slice) => {
    const params = packGemmParams({ ...outputParams(options, slice, part), width: linear.width });
    const bindGroup = pipeline.bind(`gemm.${linear.name}`, {
      params: context.buffers.uniform(`gemm.${linear.name}.params`, params),
      step: context.step,
      x: options.input,
      weights: slice.buffer,
      out: options.output,
    });
    return { bindGroup, numRows: slice.numRows };
  });
  return (encoder, step) => {
    const count = numRowsOf(part, step);
    if (count === 0) return;
    for (const { bindGroup, numRows } of slices) encoder.dispatch(pipeline, bindGroup, gemmGrid(numRows, count));
  };
}

function outputParams(options: LinearOptions, slice: LinearSlice, part: StepPart): LinearOutput {
  const rowsPerOutput = options.epilogue.kind === "gate" ? 2 : 1;
  return {
    numRows: slice.numRows,
    outStride: options.outStride,
    outOffset: slice.firstRow / rowsPerOutput,
    part,
    epilogue: options.epilogue,
  };
}
