import { packRmsNormParams, rmsNorm, rmsNormGrid, rmsNormVariant } from "../../kernels/rms-norm";
import { type BuildContext, usesFusedNorm } from "../build-context";
import type { Op } from "../step-shape";
import { buildGemm, buildGemv, buildLinear, type LinearOptions } from "./linear";

export interface NormOptions {
  readonly label: string;
  readonly residual: GPUBuffer;
  /** Offset of the weight among the norms, in elements. */
  readonly normOffset: number;
  /** First residual += norm(branch), with the weight at this offset. */
  readonly postOffset: number | null;
  /** Only the rows that get logits, in their order. */
  readonly gather: boolean;
}

/** scratch.normed = norm(residual). */
export async function buildNorm(context: BuildContext, options: NormOptions): Promise<Op> {
  const { label, gather, postOffset } = options;
  const variant = rmsNormVariant(context.variant, {
    width: context.config.hiddenSize,
    post: postOffset !== null,
    gather,
  });
  const pipeline = await context.pipelines.get(rmsNorm, variant);
  const params = packRmsNormParams(options.normOffset / 8, (postOffset ?? 0) / 8, context.config.rmsNormEps);
  const bindGroup = pipeline.bind(`rms_norm.${label}`, {
    params: { buffer: context.buffers.uniform(`rms_norm.${label}.params`, params) },
    step: { buffer: context.step },
    y: { buffer: postOffset === null ? context.weights.norms : context.scratch.branch },
    norms: { buffer: context.weights.norms },
    x: { buffer: options.residual },
    out: { buffer: context.scratch.normed },
  });
  return (encoder, step) =>
    encoder.dispatch(pipeline, bindGroup, rmsNormGrid(gather ? step.numLogitRows : step.numTokens));
}

export interface NormLinearOptions extends Omit<LinearOptions, "input" | "rows" | "boundedInput"> {
  readonly normOffset: number;
  /** The previous branch's post-norm is added to the residual here; null where the branch was already added. */
  readonly postOffset: number | null;
  /** With `postOffset`, in the fused path: the residual is read from `residual` and stored in `nextResidual`. */
  readonly residual: GPUBuffer;
  readonly nextResidual: GPUBuffer;
}

/** output = norm(residual) x weights^T: one dispatch for few tokens, else a norm and a GEMM. */
export async function buildNormLinear(context: BuildContext, options: NormLinearOptions): Promise<Op> {
  const { scratch } = context;
  const { normOffset, postOffset } = options;
  const post =
    postOffset === null ? null : { offset: postOffset, branch: scratch.branch, nextResidual: options.nextResidual };
  const fused = buildGemv(
    context,
    { ...options, input: options.residual, rows: "tokens", boundedInput: true },
    { normOffset, post },
  );
  const norm = buildNorm(context, {
    label: options.linear.name,
    residual: scratch.residual,
    normOffset,
    postOffset,
    gather: false,
  });
  const plain = { ...options, input: scratch.normed, rows: "tokens", boundedInput: true } as const;
  // With fused norms GEMV always has the norm inside, so what is left for the plain path is GEMM.
  const linear = context.fusedNorm ? buildGemm(context, plain) : buildLinear(context, plain);
  const [fusedOp, normOp, linearOp] = await Promise.all([fused, norm, linear]);
  return (encoder, step) => {
    if (usesFusedNorm(context, step)) return fusedOp(encoder, step);
    normOp(encoder, step);
    linearOp(encoder, step);
  };
}
