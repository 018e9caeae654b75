import source from "../../shaders/attention_prefill.wgsl?raw";
import { defineKernel, type Grid, type KernelVariant } from "../gpu/kernel";
import { packParams, u32 } from "../gpu/params";
import type { AttentionOptions } from "./attention-decode";
import { headsPerGroup, type KvLayerParams, kvLayerValues } from "./kv-layer";
import { kvAddressModule, kvLoadModules, stepModule } from "./modules";
import { type DeviceVariant, enables } from "./variants";

const ROWS = 32;

/** Paged flash attention of prompt chunks: out [tokens, heads, headDim]. */
export const attentionPrefill = defineKernel({
  label: "attention_prefill",
  source,
  bindings: { params: "uniform", step: "read", q: "read", block_tables: "read", kv: "read", out: "read_write" },
  overrides: [],
});

export function attentionPrefillVariant(device: DeviceVariant, options: AttentionOptions): KernelVariant<never> {
  // f16 tiles hold what f16 KV holds; an f32 cache is not rounded.
  const f16 = device.f16 && options.kvType === "f16";
  const constants = {
    HEAD_DIM: `${options.headDim}u`,
    GROUP: `${headsPerGroup(options.numHeads, options.numKvHeads)}u`,
    // Both fit 16 KiB with the partial dot products: 16 keys of 64 f32, or 8 of 256.
    TILE_KEYS: options.headDim <= 64 ? "16u" : "8u",
  };
  return {
    prelude: { enables: enables({ f16 }), aliases: { elem: f16 ? "f16" : "f32" }, constants },
    modules: [stepModule, kvAddressModule, kvLoadModules[options.kvType]],
    overrides: {},
  };
}

/** Neighbouring tokens of one request that a tile holds. */
export const prefillTileTokens = (numHeads: number, numKvHeads: number) =>
  Math.floor(ROWS / headsPerGroup(numHeads, numKvHeads));

export interface AttentionPrefillParams {
  readonly layer: KvLayerParams;
  readonly numHeads: number;
  readonly window: number;
}

export const packAttentionPrefillParams = (p: AttentionPrefillParams) =>
  packParams([...kvLayerValues(p.layer), u32(p.numHeads), u32(p.window)]);

export function attentionPrefillGrid(options: AttentionOptions, numTiles: number): Grid {
  return [options.numHeads / headsPerGroup(options.numHeads, options.numKvHeads), numTiles];
}
