import type { LayerConfig, ModelConfig } from "../models/config";
import { CairnError } from "../util/errors";
import { ceilDiv } from "../util/math";
import { chooseBlocksPerChunk } from "./chunk";

export type KvDtype = "f16" | "f32";

/** Tokens in a block, as the kernels have it. */
export const BLOCK_SIZE = 16;

/** The null block: never handed out, stands for positions that no layer of the group can see any more. */
export const NULL_BLOCK_ID = 0;

const BYTES_PER_ELEMENT = { f16: 2, f32: 4 } as const satisfies Record<KvDtype, number>;

/** Layers of one kind that share block tables. */
export interface KvCacheGroup {
  readonly kind: "full" | "sliding";
  /** Tokens that a query sees, itself included; null for full attention. */
  readonly window: number | null;
  /** Model layer of each slot, at most `numLayerSlots` of them; the last group of a kind may have fewer. */
  readonly layers: readonly number[];
}

/** How KV lies in memory. A page is one block of one group: [layer slot][K, V][kv head][token][head dim]. */
export interface KvGeometry {
  readonly dtype: KvDtype;
  /** Tokens in a block: BLOCK_SIZE wherever kernels run. */
  readonly blockSize: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Full attention first; the index of a group is its `group` everywhere. */
  readonly groups: readonly KvCacheGroup[];
  /** Layer slots in every page, the same for all groups, so that one pool serves them all. */
  readonly numLayerSlots: number;
  /** Bytes of one layer slot in a page: K and V of all kv heads over BLOCK_SIZE tokens. */
  readonly layerSlotBytes: number;
  /** numLayerSlots * layerSlotBytes */
  readonly pageBytes: number;
  /** Blocks in a chunk, see chunk.ts. */
  readonly blocksPerChunk: number;
}

/** Layer slots [firstLayerSlot, firstLayerSlot + numLayerSlots) of every page, in one buffer: [block][layer slot]... */
export interface KvPlane {
  readonly firstLayerSlot: number;
  readonly numLayerSlots: number;
  /** Bytes of one page's part in this plane; block b starts at b * pageBytes. */
  readonly pageBytes: number;
  /** Size of the plane: all blocks, the null block included. */
  readonly bytes: number;
}

export interface LayerLocation {
  readonly group: number;
  readonly layerSlot: number;
}

/**
 * Groups the layers by kind and window. The rarest kind sets the group size, so that hybrid models fill their pages:
 * with 4 full and 22 sliding layers every page holds 4 layers, in 1 full and 6 sliding groups.
 */
export function makeKvGeometry(config: ModelConfig, dtype: KvDtype): KvGeometry {
  const kinds = layersByKind(config.layers);
  if (kinds.length === 0) {
    throw new CairnError("invalid_config", "the model has no layers", { field: "num_hidden_layers", value: 0 });
  }
  const numLayerSlots = Math.min(...kinds.map((kind) => kind.layers.length));
  const groups = kinds.flatMap((kind) => splitIntoGroups(kind, numLayerSlots));
  const layerSlotBytes = 2 * config.numKvHeads * BLOCK_SIZE * config.headDim * BYTES_PER_ELEMENT[dtype];
  const pageBytes = numLayerSlots * layerSlotBytes;
  return {
    dtype,
    blockSize: BLOCK_SIZE,
    numKvHeads: config.numKvHeads,
    headDim: config.headDim,
    groups,
    numLayerSlots,
    layerSlotBytes,
    pageBytes,
    blocksPerChunk: chooseBlocksPerChunk({ blockSize: BLOCK_SIZE, groups, pageBytes }),
  };
}

function layersByKind(layers: readonly LayerConfig[]): KvCacheGroup[] {
  const kinds = new Map<number | null, number[]>();
  layers.forEach(({ kind, window }, layer) => {
    const key = kind === "full" ? null : window;
    const sameKind = kinds.get(key);
    if (sameKind) sameKind.push(layer);
    else kinds.set(key, [layer]);
  });
  return [...kinds]
    .sort(([a], [b]) => (a ?? 0) - (b ?? 0))
    .map(([window, members]) => ({ kind: window === null ? "full" : "sliding", window, layers: members }));
}

function splitIntoGroups(kind: KvCacheGroup, groupSize: number): KvCacheGroup[] {
  return Array.from({ length: ceilDiv(kind.layers.length, groupSize) }, (_, i) => ({
    ...kind,
    layers: kind.layers.slice(i * groupSize, (i + 1) * groupSize),
  }));
}

/** Throws `internal` for a layer that the model does not have. */
export function layerLocation(geometry: KvGeometry, layer: number): LayerLocation {
  const group = geometry.groups.findIndex(({ layers }) => layers.includes(layer));
  if (group < 0) throw new CairnError("internal", `no KV cache group holds layer ${layer}`, { layer });
  return { group, layerSlot: geometry.groups[group].layers.indexOf(layer) };
}

/**
 * The pool of `numBlocks` blocks (null block included) as the fewest planes that each fit one binding, evenly filled.
 * Throws `device_limit` when one layer slot of all blocks is already too large.
 */
export function makeKvPlanes(geometry: KvGeometry, numBlocks: number, maxBindingBytes: number): KvPlane[] {
  const slotBytes = numBlocks * geometry.layerSlotBytes;
  const maxSlotsPerPlane = Math.floor(maxBindingBytes / slotBytes);
  if (maxSlotsPerPlane === 0) {
    throw new CairnError(
      "device_limit",
      `one layer of ${numBlocks} KV blocks takes ${slotBytes} bytes, a binding holds at most ${maxBindingBytes}`,
      { limit: "maxStorageBufferBindingSize", needed: slotBytes, available: maxBindingBytes },
    );
  }
  const { numLayerSlots } = geometry;
  const slotsPerPlane = ceilDiv(numLayerSlots, ceilDiv(numLayerSlots, maxSlotsPerPlane));
  return Array.from({ length: ceilDiv(numLayerSlots, slotsPerPlane) }, (_, plane) => {
    const firstLayerSlot = plane * slotsPerPlane;
    const numSlots = Math.min(slotsPerPlane, numLayerSlots - firstLayerSlot);
    return {
      firstLayerSlot,
      numLayerSlots: numSlots,
      pageBytes: numSlots * geometry.layerSlotBytes,
      bytes: numSlots * slotBytes,
    };
  });
}

/**
 * The most blocks that a request ever holds at once, over all groups, when it writes `numTokens` positions of which at
 * most `maxUnprocessedTokens` are in flight or being scheduled. Where it has the first `numDoneTokens` already: the most
 * that it may yet hold beside the blocks of these. A sliding group holds the window of the first unprocessed query and
 * what lies behind it.
 */
export function maxBlocksHeld(
  geometry: KvGeometry,
  numTokens: number,
  maxUnprocessedTokens: number,
  numDoneTokens = 0,
): number {
  const { blockSize, groups } = geometry;
  const numEntries = Math.max(0, ceilDiv(numTokens, blockSize) - ceilDiv(numDoneTokens, blockSize));
  let numBlocks = 0;
  for (const { window } of groups) {
    const numSpanned = window === null ? numEntries : maxBlocksSpanned(window - 1 + maxUnprocessedTokens, blockSize);
    numBlocks += Math.min(numEntries, numSpanned);
  }
  return numBlocks;
}

/** Blocks that `numTokens` neighbouring positions can touch, at the worst alignment. */
function maxBlocksSpanned(numTokens: number, blockSize: number): number {
  return ceilDiv(numTokens - 1, blockSize) + 1;
}
