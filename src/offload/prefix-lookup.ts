import { type KvKey, kvKey } from "../kv/chunk";
import type { KvGeometry } from "../kv/geometry";
import { firstBlockSeen, longestPrefix } from "../kv/prefix-match";
import type { ConnectorRequest, DeferralReason } from "./connector";
import type { LookupResult } from "./offload-manager";

/** What a connector knows of a chunk: what its manager says, or that another request is loading it. */
export type ChunkState = LookupResult | "loading";

/** Of the chunk that holds a block. */
function lastBlockOf(index: number, blocksPerChunk: number): number {
  return index - (index % blocksPerChunk) + blocksPerChunk - 1;
}

/** Key of the chunk that holds a block; null where the request does not know all of the chunk's ids. */
export function chunkKeyOf(
  { blockSize, blocksPerChunk }: KvGeometry,
  { prefixHashes, numTokens }: ConnectorRequest,
  group: number,
  index: number,
): KvKey | null {
  const lastBlock = lastBlockOf(index, blocksPerChunk);
  if (prefixHashes === null || (lastBlock + 1) * blockSize > numTokens) return null;
  return kvKey(group, prefixHashes.at(lastBlock));
}

/** A chunk that would be loaded. */
export interface NeededChunk {
  readonly key: KvKey;
  readonly lastBlock: number;
  readonly state: ChunkState;
}

export interface PrefixLookup {
  /** Blocks of the longest prefix that GPU and tier have together, or will have when what is waited for has come. */
  readonly numBlocks: number;
  /** From the first position that would be loaded to the prefix's end. */
  readonly numTokensToLoad: number;
  /** The first chunk of it that cannot be read yet; null if all can. */
  readonly waitsFor: { readonly key: KvKey; readonly reason: DeferralReason } | null;
  /** By group, then index. */
  readonly chunks: readonly NeededChunk[];
}

/**
 * Whether waiting helps is judged by the prefix that it would give: what is pending counts as if it were there. So a
 * chunk that is pending behind a miss, or in a window that a miss has broken, makes nobody wait, and neither does one
 * whose blocks the GPU has.
 */
export function lookupPrefix(
  geometry: KvGeometry,
  request: ConnectorRequest,
  isCached: (group: number, index: number) => boolean,
  stateOf: (key: KvKey) => ChunkState,
): PrefixLookup {
  const states = new Map<KvKey, ChunkState>();
  const keyAt = (group: number, index: number) => chunkKeyOf(geometry, request, group, index);
  const isSomewhere = (group: number, index: number) => {
    if (isCached(group, index)) return true;
    const key = keyAt(group, index);
    if (key === null) return false;
    if (!states.has(key)) states.set(key, stateOf(key));
    return states.get(key) !== "miss";
  };
  const { blockSize, groups } = geometry;
  const numBlocks = longestPrefix(geometry, Math.floor((request.numTokens - 1) / blockSize), isSomewhere);
  const chunks = new Map<KvKey, NeededChunk>();
  let firstLoaded = numBlocks;
  groups.forEach(({ window }, group) => {
    for (let index = firstBlockSeen(window, blockSize, numBlocks); index < numBlocks; index++) {
      if (isCached(group, index)) continue;
      firstLoaded = Math.min(firstLoaded, index);
      const key = keyAt(group, index)!;
      const lastBlock = lastBlockOf(index, geometry.blocksPerChunk);
      chunks.set(key, { key, lastBlock, state: states.get(key)! });
    }
  });
  const needed = [...chunks.values()];
  const unreadable = needed.find(({ state }) => state !== "hit");
  // What lies in storage is on its way into RAM as soon as somebody waits for it.
  const reasonOf = (state: ChunkState) => (state === "stored" ? "pending" : (state as DeferralReason));
  const waitsFor = unreadable ? { key: unreadable.key, reason: reasonOf(unreadable.state) } : null;
  return { numBlocks, numTokensToLoad: (numBlocks - firstLoaded) * blockSize, waitsFor, chunks: needed };
}
