import source from "../../shaders/attention_decode.wgsl?raw";
import reduceSource from "../../shaders/attention_reduce.wgsl?raw";
import { defineKernel, type Grid, type KernelVariant } from "../gpu/kernel";
import { packParams, u32 } from "../gpu/params";
import { headsPerGroup, type KvLayerParams, kvLayerValues } from "./kv-layer";
import { type KvType, kvAddressModule, kvLoadModules, stepModule } from "./modules";

/** Keys of one split. Fixed, so that a result does not depend on the batch; splits begin at multiples of it. */
export const KV_SPLIT = 64;

/** Paged attention of single-token queries, split over the keys (flash decoding). */
export const attentionDecode = defineKernel({
  label: "attention_decode",
  source,
  bindings: {
    params: "uniform",
    step: "read",
    q: "read",
    block_tables: "read",
    kv: "read",
    partial_out: "read_write",
    partial_stats: "read_write",
  },
  overrides: [],
});

/** Joins the splits: out [tokens, heads, headDim]. */
export const attentionReduce = defineKernel({
  label: "attention_reduce",
  source: reduceSource,
  bindings: { params: "uniform", step: "read", partial_out: "read", partial_stats: "read", out: "read_write" },
  overrides: [],
});

export interface AttentionOptions {
  readonly headDim: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly kvType: KvType;
}

export function attentionDecodeVariant(options: AttentionOptions): KernelVariant<never> {
  const group = headsPerGroup(options.numHeads, options.numKvHeads);
  return {
    prelude: { constants: { HEAD_DIM: `${options.headDim}u`, GROUP: `${group}u` } },
    modules: [stepModule, kvAddressModule, kvLoadModules[options.kvType]],
    overrides: {},
  };
}

export function attentionReduceVariant(headDim: number): KernelVariant<never> {
  return { prelude: { constants: { HEAD_DIM: `${headDim}u` } }, modules: [stepModule], overrides: {} };
}

export interface AttentionDecodeParams {
  readonly layer: KvLayerParams;
  readonly numHeads: number;
  /** Keys that a query sees, itself included; NO_WINDOW in full attention. */
  readonly window: number;
  /** Splits that the partial results have room for. */
  readonly maxSplits: number;
}

export const packAttentionDecodeParams = (p: AttentionDecodeParams) =>
  packParams([...kvLayerValues(p.layer), u32(p.numHeads), u32(p.window), u32(p.maxSplits)]);

export const packAttentionReduceParams = (p: Omit<AttentionDecodeParams, "layer">) =>
  packParams([u32(p.numHeads), u32(p.window), u32(p.maxSplits)]);

/** Splits that a query at `position` reads. */
export function numSplits(position: number, window: number): number {
  const firstKey = Math.max(0, position + 1 - window);
  return Math.floor(position / KV_SPLIT) - Math.floor(firstKey / KV_SPLIT) + 1;
}

export function attentionDecodeGrid(options: AttentionOptions, splits: number, numDecodeTokens: number): Grid {
  return [splits, options.numHeads / headsPerGroup(options.numHeads, options.numKvHeads), numDecodeTokens];
}
