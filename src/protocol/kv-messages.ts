import type { PromptInput } from "./messages";

/** Where KV is kept, fastest first. */
export type KvTier = "gpu" | "host" | "storage";

/** How far down KV may be kept on account of a request. "ram": on no tier that outlives the page. */
export type KvStore = "all" | "ram" | "none";

/** Tokens of prompts by where their KV came from. */
export interface TokensByTier {
  readonly gpu: number;
  /** Loaded from RAM. */
  readonly host: number;
  /** Loaded from the browser's storage. */
  readonly storage: number;
}

/** What `engine.kv.prefetch` found, and where. */
export interface PrefetchResult {
  readonly promptTokens: number;
  /** `gpu`: was on the GPU already. `host`, `storage`: was brought to the GPU from there. The rest is not cached. */
  readonly tokens: TokensByTier;
}

export interface PrefetchRequest {
  readonly requestId: string;
  readonly input: PromptInput;
  readonly cacheSalt: string | null;
}

/** What went wrong with the storage tier. */
export interface KvStorageFault {
  /** "unavailable", "timeout", "quota", "closed", "corrupt", "worker" or "unknown". */
  readonly code: string;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** What the storage tier holds and did. */
export interface KvStorageStats {
  /**
   * "starting": not opened yet. "readOnly": the browser gives no more room; it is tried again later. "off": KV is kept in RAM
   * only, for the reason that `lastFault` tells.
   */
  readonly state: "starting" | "ready" | "readOnly" | "off";
  /** Chunks of this model. */
  readonly numChunks: number;
  /** KV of this model that outlives the page. */
  readonly durableBytes: number;
  /** KV that is on its way there, or waits for its turn. */
  readonly notYetDurableBytes: number;
  /** Of all models of the namespace. */
  readonly usedBytes: number;
  readonly maxBytes: number;
  /** Since midnight, UTC: what the disk has had to write. */
  readonly bytesWrittenToday: number;
  /** Chunks that came back to RAM. */
  readonly numPromoted: number;
  /** Chunks that were to come back and did not: gone, or not to be believed. */
  readonly numFailed: number;
  /** Chunks that were not written: RAM or the queue had no more room for them before their turn. */
  readonly numDropped: number;
  readonly lastFault: KvStorageFault | null;
}

/**
 * What the KV cache holds and did, as `engine.kv.stats()` tells it. Gauges say how it is now; `num...` of events and bytes
 * moved count from the engine's beginning. Bytes are those of KV, without any overhead.
 */
export interface KvStats {
  readonly gpu: {
    readonly numBlocks: number;
    /** Blocks that nobody holds; cached ones are among them. */
    readonly numFreeBlocks: number;
    /** Blocks that a new prompt can hit. */
    readonly numCachedBlocks: number;
    readonly blockBytes: number;
  };
  /** Null where KV is not offloaded. */
  readonly host: {
    /** Chunks that it holds at most. It shrinks when the browser gives no more memory. */
    readonly numSlots: number;
    readonly numFreeSlots: number;
    readonly numPendingSlots: number;
    readonly numIdleSlots: number;
    readonly numPinnedSlots: number;
    readonly chunkBytes: number;
    /** Memory that was allocated so far. */
    readonly allocatedBytes: number;
    readonly numEvictions: number;
    /** Evicted chunks that were asked for again, and how long after, on the average: when this is short, the tier is too small. Null without any. */
    readonly numReusedAfterEviction: number;
    readonly meanEvictToReuseMs: number | null;
  } | null;
  /** Null where KV is not kept beyond the page. */
  readonly storage: KvStorageStats | null;
  /** Tokens of admitted requests: computed in steps, or found. */
  readonly tokens: TokensByTier & { readonly computed: number };
  readonly loads: {
    readonly numStarted: number;
    readonly numFailed: number;
    /** Given up to make room for requests that ran. */
    readonly numRevoked: number;
    /** Not begun, or begun with less, because to compute the rest was sooner. */
    readonly numDeclined: number;
    readonly bytes: number;
  };
  readonly stores: {
    readonly numDone: number;
    readonly numFailed: number;
    readonly numCancelled: number;
    readonly numWaiting: number;
    readonly numInFlight: number;
    /** Offers that were turned down, by reason; a chunk may be offered again. */
    readonly numRefused: { readonly noSlot: number; readonly unseen: number; readonly noRoom: number };
    readonly bytes: number;
  };
  /** Requests that were put off, by reason. */
  readonly deferrals: {
    readonly loading: number;
    readonly pending: number;
    readonly retry: number;
    readonly numTimedOut: number;
    /** Requests that are put off now. */
    readonly numWaiting: number;
  };
  /** Blocks that stores hold while they wait, and how many they may. */
  readonly leases: { readonly numBlocks: number; readonly maxBlocks: number };
  /** Requests that began again: to make room for others, or because the GPU device was lost. */
  readonly numPreemptions: number;
  /** Times that the GPU device was lost, and all KV on it. */
  readonly numDeviceLosses: number;
}
