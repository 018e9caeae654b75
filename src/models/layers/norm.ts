import { packRmsNormParams, rmsNorm, rmsNormGrid, rmsNormVariant } from "../../kernels/rms-norm";
import type { StepPart } from "../../kernels/step-part";
import type { LayerContext } from "../build-context";
import { numRowsOf, type Op } from "../step-shape";
import { buildGemm, buildGemv, buildLinear, type LinearOptions } from "./linear";

export interface NormOptions {
  readonly label: string;
  readonly residual: GPUBuffer;
  /** Offset of the weight among the norms, in elements. */
  readonly normOffset: number;
  /** First residual += norm(branch), with the weight at this offset. */
  readonly postOffset: number | null;
  readonly part: StepPart;
  /** Only those rows of the part that get logits, at their places among the logit rows. */
  readonly gather: boolean;
}

/** scratch.normed = norm(residual). */
export async function buildNorm(context: LayerContext, options: NormOptions): Promise<Op> {
  const { label, gather, postOffset, part } = options;
  const variant = rmsNormVariant(context.variant, {
    width: context.config.hiddenSize,
    post: postOffset !== null,
    gather,
  });
  const pipeline = await context.pipelines.get(rmsNorm, variant);
  const params = packRmsNormParams(options.normOffset / 8, (postOffset ?? 0) / 8, context.config.rmsNormEps, part);
  const bindGroup = pipeline.bind(`rms_norm.${label}`, {
    params: context.buffers.uniform(`rms_norm.${label}.params`, params),
    step: context.step,
    y: postOffset === null ? context.weights.norms : context.scratch.branch,
    norms: context.weights.norms,
    x: options.residual,
    out: context.scratch.normed,
  });
  return (encoder, step) => {
    if (numRowsOf(part, step) === 0) return;
    encoder.dispatch(pipeline, bindGroup, rmsNormGrid(numRowsOf(gather ? "logit-rows" : part, step)));
  };
}

export interface NormLinearOptions extends Omit<LinearOptions, "input" | "rows" | "boundedInput"> {
  readonly normOffset: number;
  /** The previous branch's post-norm is added to the residual here; null where the branch was already added. */
  readonly postOffset: number | null;
  /** Where the fused path reads the residual and, with `postOffset`, stores it; the other path has it in scratch.residual. */
  readonly residual: GPUBuffer;
  readonly nextResidual: GPUBuffer;
}

/** output = norm(residual) x weights^T: for the step's GEMV tokens one dispatch, for the others a norm and a GEMM. */
export async function buildNormLinear(context: LayerContext, options: NormLinearOptions): Promise<Op> {
  const { scratch } = context;
  const { normOffset, postOffset } = options;
  const post =
    postOffset === null ? null : { offset: postOffset, branch: scratch.branch, nextResidual: options.nextResidual };
  const norm = buildNorm(context, {
    label: options.linear.name,
    residual: scratch.residual,
    normOffset,
    postOffset,
    part: context.fusedNorm ? "gemm-tokens" : "tokens",
    gather: false,
  });
  const linear = { ...options, rows: "tokens", boundedInput: true } as const;
  const plain = { ...linear, input: scratch.normed };
  const fused = { ...linear, input: options.residual };
  const ops = await Promise.all(
    context.fusedNorm
      ? [buildGemv(context, fused, { normOffset, post }), norm, buildGemm(context, plain)]
      : [norm, buildLinear(context, plain)],
  );
  return (encoder, step) => {
    for (const op of ops) op(encoder, step);
  };
}
