import type { KvStats } from "../protocol/kv-messages";
import type { EngineParts } from "./engine-parts";

/** Puts together what scheduler, connector and host tier tell of themselves. */
export function collectKvStats({
  scheduler,
  offload,
  geometry,
}: Pick<EngineParts, "scheduler" | "offload" | "geometry">): KvStats {
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
    tokens: {
      computed: stats.numScheduledTokens,
      gpu: stats.numCachedTokens - stats.numExternalTokens,
      host: stats.numExternalTokens,
    },
    loads: {
      numStarted: count(offloaded?.numLoads),
      numFailed: count(offloaded?.numLoadsFailed),
      numRevoked: stats.numRevocations,
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
  };
}
