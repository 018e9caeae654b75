import type { Kernel, KernelVariant } from "../gpu/kernel";
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
import type { Epilogue } from "./linear";
import { packRepackParams, repackRows, repackRowsVariant } from "./repack-rows";
import { packRmsNormParams, rmsNorm, rmsNormVariant } from "./rms-norm";
import { packRopeKvWriteParams, ropeKvWrite, ropeKvWriteVariant } from "./rope-kv-write";
import { packSampleParams, sample, sampleVariant } from "./sample";
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

const WEIGHT_TYPES = ["f32", "f16", "bf16"] as const;
const KV_TYPES = ["f32", "f16"] as const;
const EPILOGUES: readonly Epilogue[] = [
  { kind: "store" },
  { kind: "add" },
  { kind: "gate", activation: "silu" },
  { kind: "gate", activation: "gelu_tanh" },
];
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

const LINEAR = { numRows: 1, outStride: 2, outOffset: 4, rows: "logit-rows" } as const;
const LINEAR_MEMBERS = { num_rows: 1, out_stride: 2, out_offset: 4, count_lane: 3 };

/** Every kernel of the engine. */
export const allKernels: readonly KernelEntry[] = [
  {
    kernel: embed,
    variants: () => WEIGHT_TYPES.flatMap((type) => WIDTHS.map((width) => embedVariant(type, width))),
    params: { words: packEmbedParams(1, 2, 1.5), members: { first_id: 1, num_ids: 2, scale: 1.5 } },
  },
];
