import type { Kernel, KernelVariant } from "../gpu/kernel";
import { adjustLogits, adjustLogitsVariant } from "./adjust-logits";
import { allWeightModules } from "./all-weight-modules";
import {
  attentionDecode,
  attentionDecodeVariant,
  attentionReduce,
  attentionReduceVariant,
  packAttentionDecodeParams,
  packAttentionReduceParams,
} from "./attention-decode";
import { attentionPrefill, attentionPrefillVariant, packAttentionPrefillParams } from "./attention-prefill";
import { embed, embedVariant, packEmbedParams } from "./embed";
import { gemm, gemmVariant, packGemmParams } from "./gemm";
import { GEMV_TOKEN_TILES, gemv, gemvVariant, packGemvParams } from "./gemv";
import { kvDecode, kvEncode, kvInt8Variant, packInt8PlaneParams } from "./kv-int8";
import { logprobs, logprobsVariant } from "./logprobs";
import { floatWeightModules } from "./modules";
import { quantWeightModules } from "./quant-modules";
import { packQuantizeParams, quantizeRows, quantizeRowsVariant } from "./quantize-rows";
import { packRepackParams, repackRows, repackRowsVariant } from "./repack-rows";
import { packRmsNormParams, rmsNorm, rmsNormVariant } from "./rms-norm";
import { packRopeKvWriteParams, ropeKvWrite, ropeKvWriteVariant } from "./rope-kv-write";
import { sample, sampleVariant } from "./sample";
import { packLogitParams } from "./sampling-row";
import { updateBlockTables, updateBlockTablesVariant } from "./update-block-tables";
import type { DeviceVariant } from "./variants";

export interface PackedParams {
  readonly words: Uint32Array;
  /** What was packed, by member of the WGSL struct in its order; `a.b` for a member of a nested one. */
  readonly members: Readonly<Record<string, number>>;
}

export interface KernelEntry {
  readonly kernel: Kernel;
  /** Every way in which the kernel is compiled on such a device. */
  variants(device: DeviceVariant): readonly KernelVariant[];
  /** A packed example in which no two values are equal; null for a kernel without params. */
  readonly params: PackedParams | null;
}

const WEIGHT_MODULES = Object.values(allWeightModules);
const KV_TYPES = ["f32", "f16"] as const;
/** Sizes that tiles divide and sizes that they do not. */
const WIDTHS = [64, 172] as const;
const BOTH = [false, true] as const;

/** One of each head dim, with 1 to 8 query heads a kv head. */
const ATTENTION = [8, 48, 64, 128, 256].flatMap((headDim, i) =>
  KV_TYPES.map((kvType) => ({ headDim, numHeads: [1, 2, 3, 4, 8][i], numKvHeads: 1, kvType })),
);

const LAYER = { tableOffset: 11, tableStride: 12, pageElements: 13, slotOffset: 14, numKvHeads: 15 };
const LAYER_MEMBERS = {
  "layer.table_offset": 11,
  "layer.table_stride": 12,
  "layer.page_elements": 13,
  "layer.slot_offset": 14,
  "layer.num_kv_heads": 15,
};

const LINEAR = {
  numRows: 5,
  outStride: 6,
  outOffset: 7,
  part: "logit-rows",
  epilogue: { kind: "gate", activation: "silu" },
} as const;
const LINEAR_MEMBERS = { num_rows: 5, out_stride: 6, out_offset: 7, part: 3 };
const EPILOGUE_MEMBERS = { epilogue: 2, activation: 0 };

const gemvVariants = (device: DeviceVariant) => [
  ...GEMV_TOKEN_TILES.flatMap((tokenTile) =>
    Object.values(floatWeightModules).flatMap((weightModules) =>
      WIDTHS.map((width) => gemvVariant(device, { width, weightModules, tokenTile, prologue: "norm" })),
    ),
  ),
  ...Object.values(quantWeightModules).map((weightModules) =>
    gemvVariant(device, { width: 172, weightModules, tokenTile: 4, prologue: "norm" }),
  ),
  ...(["none", "post-norm"] as const).map((prologue) =>
    gemvVariant(device, { width: 172, weightModules: floatWeightModules.f32, tokenTile: 1, prologue }),
  ),
];

const INT8_PLANE = { headDim: 8, kvType: "f16", pageVectors: 3, planeVectors: 2, firstVector: 4 } as const;
const INT8_PLANE_MEMBERS = { head_dim: 8, is_f16: 1, page_vectors: 3, plane_vectors: 2, first_vector: 4 };

/** Every kernel of the engine. */
export const allKernels: readonly KernelEntry[] = [
  {
    kernel: repackRows,
    variants: () => [repackRowsVariant],
    params: {
      words: packRepackParams({ sourceRow: 1, numRows: 2, rowBytes: 4, rowWords: 5, firstRow: 6, rowStep: 7 }),
      members: { source_row: 1, num_rows: 2, row_bytes: 4, row_words: 5, first_row: 6, row_step: 7 },
    },
  },
  {
    kernel: quantizeRows,
    variants: () => [quantizeRowsVariant],
    params: {
      words: packQuantizeParams({
        sourceRow: 1,
        numRows: 3,
        width: 5,
        sourceType: "bf16",
        type: "q8_0",
        firstRow: 6,
        rowStep: 7,
      }),
      members: { source_row: 1, num_rows: 3, width: 5, source_type: 2, bits: 8, first_row: 6, row_step: 7 },
    },
  },
  { kernel: updateBlockTables, variants: () => [updateBlockTablesVariant], params: null },
  {
    kernel: embed,
    variants: () => WEIGHT_MODULES.flatMap((modules) => WIDTHS.map((width) => embedVariant(modules, width))),
    params: { words: packEmbedParams(1, 2, 1.5), members: { first_id: 1, num_ids: 2, scale: 1.5 } },
  },
  {
    kernel: rmsNorm,
    variants: (device) =>
      WIDTHS.flatMap((width) =>
        BOTH.flatMap((post) => BOTH.map((gather) => rmsNormVariant(device, { width, post, gather }))),
      ),
    params: {
      words: packRmsNormParams(1, 4, 0.5, "gemm-tokens"),
      members: { norm_offset: 1, post_offset: 4, eps: 0.5, part: 2 },
    },
  },
  {
    kernel: gemv,
    variants: gemvVariants,
    params: {
      words: packGemvParams({ ...LINEAR, normOffset: 8, postOffset: 9, eps: 0.5, storesX: true }),
      members: { ...LINEAR_MEMBERS, norm_offset: 8, post_offset: 9, eps: 0.5, stores_x: 1, ...EPILOGUE_MEMBERS },
    },
  },
  {
    kernel: gemm,
    variants: (device) =>
      WEIGHT_MODULES.flatMap((weightModules) =>
        BOTH.map((boundedInput) => gemmVariant(device, { weightModules, boundedInput })),
      ),
    params: {
      words: packGemmParams({ ...LINEAR, width: 8 }),
      members: { ...LINEAR_MEMBERS, ...EPILOGUE_MEMBERS, in_width: 8 },
    },
  },
  {
    kernel: ropeKvWrite,
    variants: (device) =>
      ATTENTION.flatMap((options) => BOTH.map((qkNorm) => ropeKvWriteVariant(device, { ...options, qkNorm }))),
    params: {
      words: packRopeKvWriteParams({
        layer: LAYER,
        numHeads: 1,
        inStride: 2,
        qScale: 0.25,
        eps: 0.5,
        qNormOffset: 3,
        kNormOffset: 4,
      }),
      members: {
        ...LAYER_MEMBERS,
        num_heads: 1,
        in_stride: 2,
        q_scale: 0.25,
        eps: 0.5,
        q_norm_offset: 3,
        k_norm_offset: 4,
      },
    },
  },
  {
    kernel: attentionDecode,
    variants: () => ATTENTION.map(attentionDecodeVariant),
    params: {
      words: packAttentionDecodeParams({ layer: LAYER, numHeads: 1, window: 2, maxSplits: 3 }),
      members: { ...LAYER_MEMBERS, num_heads: 1, window: 2, max_splits: 3 },
    },
  },
  {
    kernel: attentionReduce,
    variants: () => ATTENTION.map(({ headDim }) => attentionReduceVariant(headDim)),
    params: {
      words: packAttentionReduceParams({ numHeads: 1, window: 2, maxSplits: 3 }),
      members: { num_heads: 1, window: 2, max_splits: 3 },
    },
  },
  {
    kernel: attentionPrefill,
    variants: (device) => ATTENTION.map((options) => attentionPrefillVariant(device, options)),
    params: {
      words: packAttentionPrefillParams({ layer: LAYER, numHeads: 1, window: 2 }),
      members: { ...LAYER_MEMBERS, num_heads: 1, window: 2 },
    },
  },
  ...[kvEncode, kvDecode].map((kernel) => ({
    kernel,
    variants: () => [kvInt8Variant],
    params: { words: packInt8PlaneParams(INT8_PLANE), members: INT8_PLANE_MEMBERS },
  })),
  {
    kernel: sample,
    variants: (device) => [sampleVariant(device)],
    params: { words: packLogitParams(5, 8, 3), members: { num_logits: 5, logits_stride: 8, adjusted_row: 3 } },
  },
  {
    kernel: adjustLogits,
    variants: () => [adjustLogitsVariant],
    params: { words: packLogitParams(5, 8, 3), members: { num_logits: 5, logits_stride: 8, adjusted_row: 3 } },
  },
  {
    kernel: logprobs,
    variants: (device) => [logprobsVariant(device)],
    params: { words: packLogitParams(5, 8, 3), members: { num_logits: 5, logits_stride: 8, first_logprob: 3 } },
  },
];
