import type { ChunkOfPrefix, KvKey } from "../kv/chunk";
import type { PrefixHashes } from "../kv/prefix-hashes";
import type { NeededChunk } from "./prefix-lookup";
import type { StorageFault } from "./storage/storage-api";
import type { StorageState } from "./storage/storage-op";

/** What happened in storage since somebody last asked. */
export interface StorageChanges {
  /** Chunks that came into RAM, or did not. */
  readonly keys: readonly KvKey[];
  /** It became known what storage has: whoever waits is to ask again. */
  readonly isIndexNew: boolean;
  /** By request, those it asked for that did not come. */
  readonly failed: ReadonlyMap<string, readonly KvKey[]>;
  /** Chunks that were read together, and how long that took behind the reads before. */
  readonly reads: readonly { readonly numChunks: number; readonly ms: number }[];
}

/** Counts only grow, but for the gauges that say so. Bytes are those of KV. */
export interface StorageStats {
  readonly state: StorageState;
  readonly lastFault: (StorageFault & { readonly timeMs: number }) | null;
  /** Gauge: chunks that can be promoted. */
  readonly numChunks: number;
  /** Gauge: host slots that promotions hold, at most half of them or one of each KV cache group. */
  readonly numHeldSlots: number;
  /** Of the namespace, as the store said last; null before it did. */
  readonly bytes: number | null;
  readonly maxBytes: number | null;
  readonly bytesWrittenToday: number | null;
  /** Gauge: in RAM, and to be written or being written. */
  readonly bytesNotDurable: number;
  /** Of chunks that the store said are whole and written. */
  readonly bytesDurable: number;
  /** Chunks that got a slot in RAM to be read into, those that were read, and those that were not to be had. */
  readonly numPromotions: number;
  readonly numPromoted: number;
  readonly numPromotionsFailed: number;
  /** Chunks by which a hit was shorter because RAM had no room for them. */
  readonly numCutForRoom: number;
  /** Chunks that were to be written and were not: they left RAM first, too many waited, or the store did not take them. */
  readonly numCascadeDropped: number;
}

/**
 * The tier below RAM, as a connector sees it: chunks go there by a cascade, and come back by a promotion, into host slots.
 * Like a manager it runs in the scheduler and never waits.
 */
export interface StorageTier {
  /** Something is to be read, written or cleared, or is pinned for a request. */
  readonly hasWork: boolean;
  /** When the first pin ends by itself; Infinity without one. */
  readonly nextDeadlineMs: number;
  readonly stats: StorageStats;

  /** Of the chunks that a request needs, those in storage for which there would be no room in RAM. */
  withoutRoom(chunks: readonly NeededChunk[]): readonly KvKey[];

  /**
   * Brings chunks that are in storage to RAM. These, and others of `chunks` that are on their way, are pinned for the request
   * as they come, until `release` or its deadline.
   */
  promote(requestId: string, prefixHashes: PrefixHashes, chunks: readonly NeededChunk[], deadlineMs: number): void;

  /** Whether the request had the chunk promoted since it was last released. */
  isPromoted(requestId: string, key: KvKey): boolean;

  /** The request was admitted, or left. */
  release(requestId: string): void;

  /** These were offered to RAM by somebody whose chunks may be written to storage. What RAM has of them, or is getting, will be. */
  persist(chunks: readonly ChunkOfPrefix[]): void;

  takeChanges(): StorageChanges;

  /** Forgets all that is there, and all that is on its way from there and to there. */
  clear(): void;
}
