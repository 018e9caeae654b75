import source from "../../shaders/rope_kv_write.wgsl?raw";
import { defineKernel, type Grid, type KernelVariant } from "../gpu/kernel";
import { f32, packParams, u32 } from "../gpu/params";
import { type KvLayerParams, kvLayerValues } from "./kv-layer";
import { type KvType, kvAddressModule, kvStoreModules, stepModule } from "./modules";
import { type DeviceVariant, enables, reduceModule } from "./variants";

/** QKV rows -> normed, rotated, scaled q; normed, rotated k and v in their slots of the KV cache. */
export const ropeKvWrite = defineKernel({
  label: "rope_kv_write",
  source,
  bindings: {
    params: "uniform",
    step: "read",
    qkv: "read",
    norms: "read",
    rope: "read",
    block_tables: "read",
    q_out: "read_write",
    kv: "read_write",
  },
  overrides: ["QK_NORM"],
});

export interface RopeKvWriteOptions {
  readonly headDim: number;
  readonly kvType: KvType;
  readonly qkNorm: boolean;
}

export function ropeKvWriteVariant(device: DeviceVariant, options: RopeKvWriteOptions): KernelVariant<"QK_NORM"> {
  return {
    prelude: {
      enables: enables({ subgroups: device.subgroups }),
      constants: { WG: "64u", HEAD_DIM: `${options.headDim}u` },
    },
    modules: [stepModule, kvAddressModule, kvStoreModules[options.kvType], reduceModule(device)],
    overrides: { QK_NORM: Number(options.qkNorm) },
  };
}

export interface RopeKvWriteParams {
  readonly layer: KvLayerParams;
  readonly numHeads: number;
  /** Elements of a row of qkv. */
  readonly inStride: number;
  readonly qScale: number;
  readonly eps: number;
  /** Offsets into `norms` in elements. */
  readonly qNormOffset: number;
  readonly kNormOffset: number;
}

export const packRopeKvWriteParams = (p: RopeKvWriteParams) =>
  packParams([
    ...kvLayerValues(p.layer),
    u32(p.numHeads),
    u32(p.inStride),
    f32(p.qScale),
    f32(p.eps),
    u32(p.qNormOffset),
    u32(p.kNormOffset),
  ]);

export const ropeKvWriteGrid = (numHeads: number, numKvHeads: number, numTokens: number): Grid => [
  numHeads + 2 * numKvHeads,
  numTokens,
];
