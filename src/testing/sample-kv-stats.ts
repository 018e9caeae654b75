import type { KvStats } from "../protocol/kv-messages";

/** Stats in which no number stands for two things. */
export const SAMPLE_KV_STATS: KvStats = {
  gpu: { numBlocks: 1024, numFreeBlocks: 1000, numCachedBlocks: 300, blockBytes: 8192 },
  host: {
    numSlots: 4096,
    numFreeSlots: 3700,
    numPendingSlots: 2,
    numIdleSlots: 391,
    numPinnedSlots: 3,
    chunkBytes: 32_768,
    allocatedBytes: 16_777_216,
    numEvictions: 31,
    numReusedAfterEviction: 5,
    meanEvictToReuseMs: 1234,
  },
  tokens: { computed: 2048, gpu: 160, host: 176 },
  loads: { numStarted: 11, numFailed: 12, numRevoked: 13, bytes: 1_400_000 },
  stores: {
    numDone: 400,
    numFailed: 21,
    numCancelled: 22,
    numWaiting: 23,
    numInFlight: 24,
    numRefused: { noSlot: 25, unseen: 26, noRoom: 27 },
    bytes: 13_100_000,
  },
  deferrals: { loading: 41, pending: 42, retry: 43, numTimedOut: 44, numWaiting: 45 },
  leases: { numBlocks: 51, maxBlocks: 256 },
  numPreemptions: 61,
};
