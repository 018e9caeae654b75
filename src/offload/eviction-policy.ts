import type { KvKey } from "../kv/chunk";

/**
 * Orders the chunks of a tier for eviction. It knows every chunk that has a slot. A chunk is being written, idle, or
 * pinned by readers; only idle ones are evicted. Naming a chunk that it does not know is an error, but for `touch`.
 */
export interface EvictionPolicy {
  /** Chunks that have a slot. */
  readonly size: number;
  readonly numIdle: number;

  /** Chunks got slots and are being written. The head of a prefix comes first, and is evicted after its tail. */
  insert(keys: readonly KvKey[]): void;

  /** The chunk was written: it is idle. It keeps its place, for that is no use of it. */
  markStored(key: KvKey): void;

  /** The first reader came. */
  pin(key: KvKey): void;

  /** The last reader left: it is idle, and was used just now. */
  unpin(key: KvKey): void;

  /** Its slot is free, or soon will be, for another reason than eviction. */
  remove(key: KvKey): void;

  /** Chunks are in use, the head of a prefix first: the head is evicted after its tail. */
  touch(keys: readonly KvKey[]): void;

  /** Takes `numChunks` idle chunks out, first victim first, but none of `protectedKeys`; null, and nothing changed, where there are too few. */
  evict(numChunks: number, protectedKeys: ReadonlySet<KvKey>): readonly KvKey[] | null;

  clear(): void;
}
