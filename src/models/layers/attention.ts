import {
  type AttentionOptions,
  attentionDecode,
  attentionDecodeGrid,
  attentionDecodeVariant,
  attentionReduce,
  attentionReduceVariant,
  numSplits,
  packAttentionDecodeParams,
  packAttentionReduceParams,
} from "../../kernels/attention-decode";
import {
  attentionPrefill,
  attentionPrefillGrid,
  attentionPrefillVariant,
  packAttentionPrefillParams,
} from "../../kernels/attention-prefill";
import { NO_WINDOW } from "../../kernels/kv-layer";
import { packRopeKvWriteParams, ropeKvWrite, ropeKvWriteGrid, ropeKvWriteVariant } from "../../kernels/rope-kv-write";
import type { LayerContext } from "../build-context";
import { maxSplits } from "../scratch";
import type { Op } from "../step-shape";
import type { LayerPlan } from "../weight-plan";

/** scratch.qkv -> scratch.query and the KV cache. `rope` is the layer's table. */
export async function buildRopeKvWrite(
  context: LayerContext,
  layer: number,
  plan: LayerPlan,
  rope: GPUBuffer,
): Promise<Op> {
  const { config, scratch, weights } = context;
  const { numHeads, numKvHeads, headDim } = config;
  const pipeline = await context.pipelines.get(
    ropeKvWrite,
    ropeKvWriteVariant(context.variant, { headDim, kvType: context.kvType, qkNorm: config.qkNorm }),
  );
  const params = packRopeKvWriteParams({
    layer: context.kvLayers[layer].params,
    numHeads,
    inStride: (numHeads + 2 * numKvHeads) * headDim,
    qScale: config.attentionScale,
    eps: config.rmsNormEps,
    qNormOffset: plan.qNorm ? weights.normOffset(plan.qNorm) : 0,
    kNormOffset: plan.kNorm ? weights.normOffset(plan.kNorm) : 0,
  });
  const label = `rope_kv_write.layer${layer}`;
  const bindGroup = pipeline.bind(label, {
    params: context.buffers.uniform(`${label}.params`, params),
    step: context.step,
    qkv: scratch.qkv,
    norms: weights.norms,
    rope: rope,
    block_tables: context.blockTables,
    q_out: scratch.query,
    kv: context.kvLayers[layer].plane,
  });
  return (encoder, step) =>
    encoder.dispatch(pipeline, bindGroup, ropeKvWriteGrid(numHeads, numKvHeads, step.numTokens));
}

/** scratch.query over the KV cache -> scratch.attention: single tokens by split decoding, chunks by tiles. */
export async function buildAttention(context: LayerContext, layer: number): Promise<Op> {
  const window = context.config.layers[layer].window ?? NO_WINDOW;
  const [decode, prefill] = await Promise.all([
    buildDecode(context, layer, window),
    buildPrefill(context, layer, window),
  ]);
  return (encoder, step) => {
    if (step.numDecodeTokens > 0) decode(encoder, step);
    if (step.numPrefillTiles > 0) prefill(encoder, step);
  };
}

function attentionOptions({ config, kvType }: LayerContext): AttentionOptions {
  const { headDim, numHeads, numKvHeads } = config;
  return { headDim, numHeads, numKvHeads, kvType };
}

async function buildDecode(context: LayerContext, layer: number, window: number): Promise<Op> {
  const { scratch, pipelines, buffers } = context;
  const options = attentionOptions(context);
  const { numHeads } = options;
  const [split, reduce] = await Promise.all([
    pipelines.get(attentionDecode, attentionDecodeVariant(options)),
    pipelines.get(attentionReduce, attentionReduceVariant(options.headDim)),
  ]);
  const params = { numHeads, window, maxSplits: maxSplits(context.maxModelLen) };
  const { params: layerParams, plane } = context.kvLayers[layer];
  const splitParams = packAttentionDecodeParams({ ...params, layer: layerParams });
  const splitGroup = split.bind(`attention_decode.layer${layer}`, {
    params: buffers.uniform(`attention_decode.layer${layer}.params`, splitParams),
    step: context.step,
    q: scratch.query,
    block_tables: context.blockTables,
    kv: plane,
    partial_out: scratch.partialOut,
    partial_stats: scratch.partialStats,
  });
  const reduceGroup = reduce.bind(`attention_reduce.layer${layer}`, {
    params: buffers.uniform(`attention_reduce.layer${layer}.params`, packAttentionReduceParams(params)),
    step: context.step,
    partial_out: scratch.partialOut,
    partial_stats: scratch.partialStats,
    out: scratch.attention,
  });
  return (encoder, step) => {
    // A window that straddles a split boundary touches a split more at some positions than at the highest one.
    const most = Math.min(
      numSplits(step.maxDecodePosition, NO_WINDOW),
      maxSplits(Math.min(window, context.maxModelLen)),
    );
    encoder.dispatch(split, splitGroup, attentionDecodeGrid(options, most, step.numDecodeTokens));
    encoder.dispatch(reduce, reduceGroup, [numHeads, step.numDecodeTokens]);
  };
}

async function buildPrefill(context: LayerContext, layer: number, window: number): Promise<Op> {
  const options = attentionOptions(context);
  const pipeline = await context.pipelines.get(attentionPrefill, attentionPrefillVariant(context.variant, options));
  const { params: layerParams, plane } = context.kvLayers[layer];
  const params = packAttentionPrefillParams({ layer: layerParams, numHeads: options.numHeads, window });
  const label = `attention_prefill.layer${layer}`;
  const bindGroup = pipeline.bind(label, {
    params: context.buffers.uniform(`${label}.params`, params),
    step: context.step,
    q: context.scratch.query,
    block_tables: context.blockTables,
    kv: plane,
    out: context.scratch.attention,
  });
  return (encoder, step) => encoder.dispatch(pipeline, bindGroup, attentionPrefillGrid(options, step.numPrefillTiles));
}
