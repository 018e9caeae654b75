import kvInt8 from "../../shaders/common/kv_int8.wgsl?raw";
import decodeSource from "../../shaders/kv_decode.wgsl?raw";
import encodeSource from "../../shaders/kv_encode.wgsl?raw";
import { defineKernel, type Grid, type KernelVariant } from "../gpu/kernel";
import { packParams, u32 } from "../gpu/params";
import { ceilDiv } from "../util/math";
import { commonModule, type KvType } from "./modules";

/** Pages to int8, one plane's part at a time; see kv/offload-encoding.ts. */
export const kvEncode = defineKernel({
  label: "kv_encode",
  source: encodeSource,
  bindings: { params: "uniform", block_ids: "read", kv: "read", encoded: "read_write" },
  overrides: [],
});

/** And back. */
export const kvDecode = defineKernel({
  label: "kv_decode",
  source: decodeSource,
  bindings: { params: "uniform", block_ids: "read", encoded: "read", kv: "read_write" },
  overrides: [],
});

export const kvInt8Variant: KernelVariant<never> = {
  prelude: {},
  modules: [commonModule("kv_int8", kvInt8)],
  overrides: {},
};

/** One plane of pages; a vector is the head dim elements of one token, K or V, of one kv head of one layer. */
export interface Int8PlaneParams {
  /** A multiple of 4. */
  readonly headDim: number;
  readonly kvType: KvType;
  /** Vectors of a whole page, and of its part in the plane. */
  readonly pageVectors: number;
  readonly planeVectors: number;
  /** First of the plane's vectors. */
  readonly firstVector: number;
}

export const packInt8PlaneParams = ({
  headDim,
  kvType,
  pageVectors,
  planeVectors,
  firstVector,
}: Int8PlaneParams): Uint32Array<ArrayBuffer> =>
  packParams([headDim, kvType === "f16" ? 1 : 0, pageVectors, planeVectors, firstVector].map(u32));

export const kvEncodeGrid = ({ planeVectors }: Int8PlaneParams, numBlocks: number): Grid => [
  ceilDiv(planeVectors, 4),
  numBlocks,
];

export const kvDecodeGrid = ({ planeVectors, headDim }: Int8PlaneParams, numBlocks: number): Grid => [
  ceilDiv((planeVectors * headDim) / 4, 64),
  numBlocks,
];
