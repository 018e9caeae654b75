import { type ParamValues, u32 } from "../gpu/params";

/** Where a layer's K and V lie; KvLayer of common/kv_address.wgsl, padded to 32 bytes as the uniform address space demands. */
export interface KvLayerParams {
  /** First entry of the layer's KV cache group in the block tables, and entries a row. */
  readonly tableOffset: number;
  readonly tableStride: number;
  /** Elements of a page in the layer's plane, and of what stands before the layer's slot in it. */
  readonly pageElements: number;
  readonly slotOffset: number;
  readonly numKvHeads: number;
}

export const kvLayerValues = (p: KvLayerParams): ParamValues => [
  u32(p.tableOffset),
  u32(p.tableStride),
  u32(p.pageElements),
  u32(p.slotOffset),
  u32(p.numKvHeads),
  u32(0),
  u32(0),
  u32(0),
];

/** A window that hides nothing. */
export const NO_WINDOW = 0xffffffff;

/** Query heads that one workgroup serves: the largest divisor of heads / kv heads up to 8. */
export function headsPerGroup(numHeads: number, numKvHeads: number): number {
  const sharing = numHeads / numKvHeads;
  let heads = Math.min(sharing, 8);
  while (sharing % heads !== 0) heads--;
  return heads;
}
