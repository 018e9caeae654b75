import type { KvKey } from "../kv/chunk";
import type { StorageTier } from "./storage-tier";

/**
 * Where a chunk is. "hit": readable now. "pending": on its way into the tier, readable soon. "stored": in a tier below, from
 * which it can be promoted. "retry": not known yet, ask again. "miss": not here.
 */
export type LookupResult = "miss" | "hit" | "pending" | "stored" | "retry";

/** A slot that `prepareStore` set aside for a chunk. */
export interface StoreSlot {
  readonly key: KvKey;
  readonly slotId: number;
}

/** What became of each key of a `prepareStore`. */
export interface PreparedStore {
  /** In the order of the keys; their slots are pending until `completeStore`. */
  readonly accepted: readonly StoreSlot[];
  /** Here already, or on their way: nothing to do. */
  readonly present: readonly KvKey[];
  /** No slot could be made free, or not seen often enough. Worth another try when `storeEpoch` has changed. */
  readonly refused: readonly KvKey[];
}

/** In causal order: what left a slot comes before what took it. */
export interface OffloadEvent {
  readonly kind: "stored" | "evicted";
  readonly key: KvKey;
}

/** Counts only grow, but for the gauges of slots. */
export interface OffloadManagerStats {
  /** Slots that there may be at most. */
  readonly numSlots: number;
  readonly numFreeSlots: number;
  /** Being written. */
  readonly numPendingSlots: number;
  /** Readable, and free to be evicted. */
  readonly numIdleSlots: number;
  /** Being read. */
  readonly numPinnedSlots: number;
  readonly numEvictions: number;
  /** Chunks that found no slot. */
  readonly numRefusedNoSlot: number;
  /** Chunks that were not seen often enough. */
  readonly numRefusedUnseen: number;
  /** Evicted chunks that were asked for again, and the milliseconds from the one to the other, summed up: a small mean says that the tier is too small. */
  readonly numReusedAfterEviction: number;
  readonly sumEvictToReuseMs: number;
}

/**
 * The books of the host tier: which chunk is in which slot. It runs in the scheduler and never waits; no bytes pass
 * through it. A slot is free, pending (being written), idle, or pinned by so many readers. Only idle ones are evicted.
 * A store and a load have two phases each, with slots held between them.
 */
export interface OffloadManager {
  /** The tier below this one; null where there is none. */
  readonly storage: StorageTier | null;

  /** Changes when a refused chunk may fare better: a slot came free, a store failed, a chunk was seen often enough. */
  readonly storeEpoch: number;

  /** A request came whose prompt has these chunks. Counts for the reuse filter. */
  sight(keys: readonly KvKey[]): void;

  /** Changes nothing that eviction goes by. */
  lookup(key: KvKey): LookupResult;

  /** These chunks, the head of a prefix first, are in use, on whatever tier: they are evicted last, the head after its tail. Unknown keys count for nothing. */
  touch(keys: readonly KvKey[]): void;

  /** Pins chunks for one reader; their slots come in the order of the keys, every one of which must be a "hit". */
  prepareLoad(keys: readonly KvKey[]): readonly number[];

  /** Takes one reader from each slot. It is an error to name a slot that nobody reads. */
  completeLoad(slotIds: readonly number[]): void;

  /**
   * Sets slots aside for chunks that are not here, in order and while slots last: free ones first, then those of idle
   * chunks by the eviction policy, but none that holds one of `keys`.
   */
  prepareStore(keys: readonly KvKey[]): PreparedStore;

  /** The chunk is readable from now on, or, where the store failed, was never here. It is an error to name a slot that is not pending. */
  completeStore(slotId: number, success: boolean): void;

  /** Forgets these chunks, where they are here or on their way: their bytes are not to be believed. Slots in use as with `clear`. */
  discard(keys: readonly KvKey[]): void;

  /** Forgets every chunk; not those of a tier below. Slots that are pending or pinned come free when their job completes. */
  clear(): void;

  /** What happened since the last call, where the manager was made to record it. */
  takeEvents(): readonly OffloadEvent[];

  readonly stats: OffloadManagerStats;

  /** Throws `internal` unless free + pending + idle + pinned = all, each chunk has one slot, and readers and writers are as many as given. */
  checkIntegrity(expected: { readonly numPending: number; readonly numReaders: number }): void;
}
