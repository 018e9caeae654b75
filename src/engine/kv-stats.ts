import type { StorageStats } from "../offload/storage-tier";
import type { KvStats, KvStorageStats } from "../protocol/kv-messages";
import type { EngineParts } from "./engine-parts";

/** Puts together what scheduler, connector and host tier tell of themselves. */
export function collectKvStats(
  { scheduler, offload, geometry }: Pick<EngineParts, "scheduler" | "offload" | "geometry">,
  numDeviceLosses: number,
): KvStats {
  const stats = scheduler.stats;
  const offloaded = offload?.connector.stats ?? null;
  const host = offloaded?.host ?? null;
  const count = (value: number | undefined) => value ?? 0;
  return {
    gpu: {
      numBlocks: scheduler.numUsableBlocks,
      numFreeBlocks: scheduler.numFreeBlocks,
      numCachedBlocks: scheduler.numCachedBlocks,
      blockBytes: geometry.pageBytes,
    },
    host: offload &&
      offloaded &&
      host && {
        numSlots: host.numSlots,
        numFreeSlots: host.numFreeSlots,
        numPendingSlots: host.numPendingSlots,
        numIdleSlots: host.numIdleSlots,
        numPinnedSlots: host.numPinnedSlots,
        chunkBytes: offloaded.chunkBytes,
        allocatedBytes: offload.memory.bytes,
        numEvictions: host.numEvictions,
        numReusedAfterEviction: host.numReusedAfterEviction,
        meanEvictToReuseMs:
          host.numReusedAfterEviction > 0 ? host.sumEvictToReuseMs / host.numReusedAfterEviction : null,
      },
    storage: offloaded?.storage ? storageStats(offloaded.storage, offloaded.chunkBytes) : null,
    tokens: {
      computed: stats.numScheduledTokens,
      gpu: stats.numCachedTokens - stats.numExternalTokens,
      host: stats.numExternalTokens - stats.numStorageTokens,
      storage: stats.numStorageTokens,
    },
    loads: {
      numStarted: count(offloaded?.numLoads),
      numFailed: count(offloaded?.numLoadsFailed),
      numRevoked: stats.numRevocations,
      numDeclined: count(offloaded?.numLoadsDeclined),
      bytes: count(offloaded?.bytesLoaded),
    },
    stores: {
      numDone: count(offloaded?.numStores),
      numFailed: count(offloaded?.numStoresFailed),
      numCancelled: count(offloaded?.numStoresCancelled),
      numWaiting: count(offloaded?.numStoresWaiting),
      numInFlight: count(offloaded?.numStoresInFlight),
      numRefused: {
        noSlot: count(host?.numRefusedNoSlot),
        unseen: count(host?.numRefusedUnseen),
        noRoom: count(offloaded?.numStoresWithoutRoom),
      },
      bytes: count(offloaded?.bytesStored),
    },
    deferrals: {
      loading: count(offloaded?.numDeferrals.loading),
      pending: count(offloaded?.numDeferrals.pending),
      retry: count(offloaded?.numDeferrals.retry),
      numTimedOut: count(offloaded?.numDeferralsTimedOut),
      numWaiting: scheduler.numDeferred,
    },
    leases: { numBlocks: count(offloaded?.numLeasedBlocks), maxBlocks: count(offloaded?.maxLeasedBlocks) },
    numPreemptions: stats.numPreemptions,
    numDeviceLosses,
  };
}

function storageStats(
  { state, numChunks, bytes, maxBytes, bytesWrittenToday, bytesNotDurable, lastFault, ...counts }: StorageStats,
  chunkBytes: number,
): KvStorageStats {
  return {
    state,
    numChunks,
    durableBytes: numChunks * chunkBytes,
    notYetDurableBytes: bytesNotDurable,
    usedBytes: bytes ?? 0,
    maxBytes: maxBytes ?? 0,
    bytesWrittenToday: bytesWrittenToday ?? 0,
    numPromoted: counts.numPromoted,
    numFailed: counts.numPromotionsFailed,
    numDropped: counts.numCascadeDropped,
    lastFault: lastFault && {
      code: lastFault.code,
      message: lastFault.message,
      time: Math.round(performance.timeOrigin + lastFault.timeMs),
    },
  };
}
