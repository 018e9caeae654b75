import type { KvStore } from "../protocol/kv-messages";
import type { ChunkOfPrefix, KvKey } from "./chunk";

/** Blocks of the prefix cache that make up a chunk, whole as long as each of them has this record. */
export interface CachedChunk extends ChunkOfPrefix {
  readonly blocks: readonly Block[];
  /** Of the request that made it whole. */
  readonly store: KvStore;
}

/** One page of the pool, as the control plane sees it. */
export class Block {
  readonly blockId: number;
  /** Block tables and leases that name the block; 0 exactly while it lies in the free queue. Never counted for the null block. */
  refCount = 0;
  /** Its name in the prefix cache, see BlockPool.publish; null while nobody can hit it. A free block may have one. */
  cacheKey: KvKey | null = null;
  /** The chunk that it belongs to; null while it is not cached, and where the chunk was never whole. */
  chunk: CachedChunk | null = null;
  /** Neighbours in the free queue; only FreeBlockQueue touches these. */
  previousFree: Block | null = null;
  nextFree: Block | null = null;

  constructor(blockId: number) {
    this.blockId = blockId;
  }
}
