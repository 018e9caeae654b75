import type { Buffers } from "../gpu/buffers";
import { type KvGeometry, type KvPlane, layerLocation, makeKvPlanes } from "../kv/geometry";
import type { KvLayerBinding } from "../models/build-context";
import { assert, CairnError } from "../util/errors";
import { blockTableOffset, type StepBufferSizes } from "./step-buffer";

export interface KvPool {
  readonly numBlocks: number;
  readonly planes: readonly { readonly plane: KvPlane; readonly buffer: GPUBuffer }[];
}

/**
 * Allocates the pool with `numBlocks` blocks, or, where the GPU refuses, with half as many and so on, but never with
 * fewer than `minBlocks`. Rejects with `out_of_memory` that says both sizes, or with `device_limit` where one layer of
 * `numBlocks` fits no binding.
 */
export async function allocateKvPool(
  buffers: Buffers,
  geometry: KvGeometry,
  numBlocks: number,
  minBlocks: number,
  maxBindingBytes: number,
): Promise<KvPool> {
  for (let blocks = numBlocks; ; blocks = Math.max(minBlocks, Math.floor(blocks / 2))) {
    const planes = await tryAllocate(buffers, makeKvPlanes(geometry, blocks, maxBindingBytes));
    if (planes) return { numBlocks: blocks, planes };
    if (blocks === minBlocks) {
      const neededBytes = minBlocks * geometry.pageBytes;
      throw new CairnError(
        "out_of_memory",
        `The GPU could not give ${neededBytes} bytes for the KV cache of one context of the asked length; ` +
          `${buffers.bytes} bytes are held for weights and intermediate results. Lower maxModelLen or kvDtype.`,
        { label: "kv", neededBytes, heldBytes: buffers.bytes },
      );
    }
  }
}

async function tryAllocate(buffers: Buffers, planes: readonly KvPlane[]): Promise<KvPool["planes"] | null> {
  const made: { plane: KvPlane; buffer: GPUBuffer }[] = [];
  for (const plane of planes) {
    try {
      made.push({ plane, buffer: await buffers.large(`kv.plane${made.length}`, plane.bytes) });
    } catch (error) {
      for (const { buffer } of made) buffers.destroy(buffer);
      if (error instanceof CairnError && error.code === "out_of_memory") return null;
      throw error;
    }
  }
  return made;
}

/** Where each layer's KV lies, in the terms of the kernels. */
export function kvLayerBindings(
  geometry: KvGeometry,
  pool: KvPool,
  numLayers: number,
  sizes: StepBufferSizes,
): KvLayerBinding[] {
  const elementBytes = geometry.dtype === "f16" ? 2 : 4;
  return Array.from({ length: numLayers }, (_, layer) => {
    const { group, layerSlot } = layerLocation(geometry, layer);
    const home = pool.planes.find(
      ({ plane }) => layerSlot >= plane.firstLayerSlot && layerSlot < plane.firstLayerSlot + plane.numLayerSlots,
    );
    assert(home, `No plane holds layer slot ${layerSlot}`);
    return {
      plane: home.buffer,
      params: {
        tableOffset: blockTableOffset(sizes, group, 0),
        tableStride: sizes.maxBlocksPerRow,
        pageElements: home.plane.pageBytes / elementBytes,
        slotOffset: ((layerSlot - home.plane.firstLayerSlot) * geometry.layerSlotBytes) / elementBytes,
        numKvHeads: geometry.numKvHeads,
      },
    };
  });
}
