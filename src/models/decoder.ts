import type { StepPart } from "../kernels/step-part";
import { roundUp } from "../util/math";
import type { BuildContext } from "./build-context";
import { buildAttention, buildRopeKvWrite } from "./layers/attention";
import { buildEmbedding } from "./layers/embedding";
import { buildLinear } from "./layers/linear";
import { buildNorm, buildNormLinear } from "./layers/norm";
import { ropeTable } from "./rope-table";
import { logitsStride } from "./scratch";
import type { Op } from "./step-shape";
import type { LayerPlan, NormPlan, WeightPlan } from "./weight-plan";

/** The forward pass in stages between which a long step may be cut into submits: embedding, each layer, head. */
export async function buildDecoder(context: BuildContext, plan: WeightPlan): Promise<Op[]> {
  const { config, buffers, weights } = context;
  const ropes = config.ropes.map((rope, index) =>
    buffers.constant(`rope${index}`, ropeTable(rope, config.headDim, context.maxModelLen)),
  );
  const layers = plan.layers.map((_, layer) => buildLayer(context, layer, plan, ropes[config.layers[layer].rope]));
  return Promise.all([
    buildEmbedding(context, weights.linear(plan.embedding)),
    ...layers,
    buildHead(context, plan, plan.layers[plan.layers.length - 1].mlpPostNorm),
  ]);
}

async function buildLayer(context: BuildContext, layer: number, { layers }: WeightPlan, rope: GPUBuffer): Promise<Op> {
  const plan = layers[layer];
  const previousPostNorm = layer > 0 ? layers[layer - 1].mlpPostNorm : null;
  const { config, scratch, weights } = context;
  const postNorm = (norm: NormPlan | null) => (norm ? weights.normOffset(norm) : null);
  const ops = await Promise.all([
    buildNormLinear(context, {
      linear: weights.linear(plan.qkv),
      normOffset: weights.normOffset(plan.inputNorm),
      postOffset: postNorm(previousPostNorm),
      residual: previousPostNorm ? scratch.residualNext : scratch.residual,
      nextResidual: scratch.residual,
      output: scratch.qkv,
      outStride: (config.numHeads + 2 * config.numKvHeads) * config.headDim,
      epilogue: { kind: "store" },
    }),
    buildRopeKvWrite(context, layer, plan, rope),
    buildAttention(context, layer),
    buildBranchOutput(context, plan.output, scratch.attention, plan.attentionPostNorm, true),
    buildNormLinear(context, {
      linear: weights.linear(plan.gateUp),
      normOffset: weights.normOffset(plan.mlpNorm),
      postOffset: postNorm(plan.attentionPostNorm),
      residual: scratch.residual,
      nextResidual: scratch.residualNext,
      output: scratch.mlp,
      outStride: roundUp(config.intermediateSize, 8),
      epilogue: { kind: "gate", activation: config.activation },
    }),
    buildBranchOutput(context, plan.down, scratch.mlp, plan.mlpPostNorm, false),
  ]);
  return (encoder, step) => {
    for (const op of ops) op(encoder, step);
  };
}

/** A branch's last projection: added to the residual, or left in scratch.branch for its post-norm. */
function buildBranchOutput(
  context: BuildContext,
  linear: LayerPlan["down"],
  input: GPUBuffer,
  postNorm: NormPlan | null,
  boundedInput: boolean,
): Promise<Op> {
  return buildLinear(context, {
    linear: context.weights.linear(linear),
    input,
    output: postNorm ? context.scratch.branch : context.scratch.residual,
    outStride: roundUp(context.config.hiddenSize, 8),
    rows: "tokens",
    epilogue: { kind: postNorm ? "store" : "add" },
    boundedInput,
  });
}

/** Final norm of the rows that get logits, then scratch.logits [rows, vocab]. */
async function buildHead(context: BuildContext, plan: WeightPlan, postNorm: NormPlan | null): Promise<Op> {
  const { weights, scratch, config } = context;
  const norm = (residual: GPUBuffer, part: StepPart) =>
    buildNorm(context, {
      label: "final",
      residual,
      part,
      normOffset: weights.normOffset(plan.finalNorm),
      postOffset: postNorm ? weights.normOffset(postNorm) : null,
      gather: true,
    });
  // Fused post-norms leave the residual of the GEMV tokens in the other buffer.
  const norms =
    postNorm && context.fusedNorm
      ? [norm(scratch.residualNext, "gemv-tokens"), norm(scratch.residual, "gemm-tokens")]
      : [norm(scratch.residual, "tokens")];
  const ops = await Promise.all([
    ...norms,
    buildLinear(context, {
      linear: weights.linear(plan.head),
      input: scratch.normed,
      output: scratch.logits,
      outStride: logitsStride(config.vocabSize),
      rows: "logit-rows",
      epilogue: { kind: "store" },
      boundedInput: true,
    }),
  ]);
  return (encoder, step) => {
    if (step.numLogitRows === 0) return;
    for (const op of ops) op(encoder, step);
  };
}
