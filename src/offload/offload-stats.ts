import type { DeferralReason } from "./connector";
import type { OffloadManagerStats } from "./offload-manager";
import type { StorageStats } from "./storage-tier";

/** What a connector did since it was made. Counts only grow, but for the gauges that say so. */
export interface OffloadStats {
  readonly host: OffloadManagerStats;
  /** Null where there is no storage tier. */
  readonly storage: StorageStats | null;
  /** Bytes of a host slot. */
  readonly chunkBytes: number;
  /** Loads that began: one a request, but for those that are revoked or fail. */
  readonly numLoads: number;
  readonly numLoadsFailed: number;
  /** Times that a request was to compute what a tier has, or a part of it, because that is sooner. */
  readonly numLoadsDeclined: number;
  /** Blocks that arrived on the GPU. */
  readonly numBlocksLoaded: number;
  readonly bytesLoaded: number;
  /** Chunks that arrived in the host tier. */
  readonly numStores: number;
  readonly bytesStored: number;
  readonly numStoresFailed: number;
  readonly numStoresCancelled: number;
  /** Chunks that were not stored because leases hold as many blocks as they may, or the staging ring was full at eviction. */
  readonly numStoresWithoutRoom: number;
  /** Gauges: planned and not submitted; submitted, with no result yet. */
  readonly numStoresWaiting: number;
  readonly numStoresInFlight: number;
  /** Gauge: blocks that leases hold. */
  readonly numLeasedBlocks: number;
  readonly maxLeasedBlocks: number;
  /** Times that a request was put off, by reason. */
  readonly numDeferrals: Readonly<Record<DeferralReason, number>>;
  /** Deferrals that ended by their deadline. */
  readonly numDeferralsTimedOut: number;
}
