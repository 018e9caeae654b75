import { mib, ratio, show } from "./report-numbers";
import type { SimulationResult } from "./simulator";

export type OffloadReport = NonNullable<ReturnType<typeof makeOffloadReport>>;

/** What moved between GPU, RAM and storage, and who waited for it; null where nothing is offloaded. */
export function makeOffloadReport({ recorder, stats, offload, copyMs }: SimulationResult, blockSize: number) {
  if (offload === null) return null;
  const { host, storage, numDeferrals } = offload;
  const { numHitTokens, numExternalHitTokens, numStorageHitTokens } = recorder;
  const hitTokens = {
    gpu: numHitTokens - numExternalHitTokens,
    host: numExternalHitTokens - numStorageHitTokens,
    storage: numStorageHitTokens,
  };
  return {
    hitTokens,
    hitBlocks: {
      gpu: hitTokens.gpu / blockSize,
      host: hitTokens.host / blockSize,
      storage: hitTokens.storage / blockSize,
    },
    loads: {
      numStarted: offload.numLoads,
      numRevoked: stats.numRevocations,
      numDeclined: offload.numLoadsDeclined,
      numFailed: offload.numLoadsFailed,
      peakLoading: recorder.peakLoading,
      bytes: offload.bytesLoaded,
    },
    stores: {
      numDone: offload.numStores,
      numFailed: offload.numStoresFailed,
      numCancelled: offload.numStoresCancelled,
      numRefused: {
        noSlot: host.numRefusedNoSlot,
        unseen: host.numRefusedUnseen,
        noRoom: offload.numStoresWithoutRoom,
      },
      bytes: offload.bytesStored,
    },
    deferrals: { ...numDeferrals, numTimedOut: offload.numDeferralsTimedOut },
    host: {
      numSlots: host.numSlots,
      chunkBytes: offload.chunkBytes,
      numEvictions: host.numEvictions,
      numReusedAfterEviction: host.numReusedAfterEviction,
      meanEvictToReuseMs: ratio(host.sumEvictToReuseMs, host.numReusedAfterEviction),
    },
    storage: storage && {
      numChunks: storage.numChunks,
      numPromoted: storage.numPromoted,
      numCutForRoom: storage.numCutForRoom,
      numDropped: storage.numCascadeDropped,
    },
    leases: { peakBlocks: recorder.peakLeasedBlocks, maxBlocks: offload.maxLeasedBlocks },
    copyMs,
  };
}

/** The same for a reader: a label and a text a line. */
export function formatOffload(report: OffloadReport): readonly (readonly [string, string])[] {
  const { hitTokens, hitBlocks, loads, stores, deferrals, host, storage, leases, copyMs } = report;
  const { noSlot, unseen, noRoom } = stores.numRefused;
  return [
    ["blocks hit by tier", showTiers(hitBlocks)],
    ["tokens hit by tier", showTiers(hitTokens)],
    [
      "loads",
      `${show(loads.numStarted)} of ${mib(loads.bytes)} MiB, revoked ${show(loads.numRevoked)}, declined ${show(loads.numDeclined)}, peak ${show(loads.peakLoading)} at once`,
    ],
    [
      "chunks stored",
      `${show(stores.numDone)} of ${mib(stores.bytes)} MiB, failed ${show(stores.numFailed)}, cancelled ${show(stores.numCancelled)}`,
    ],
    ["stores refused", `no slot ${show(noSlot)}, not seen enough ${show(unseen)}, no room ${show(noRoom)}`],
    [
      "put off",
      `loading ${show(deferrals.loading)}, pending ${show(deferrals.pending)}, retry ${show(deferrals.retry)}, timed out ${show(deferrals.numTimedOut)}`,
    ],
    [
      "host evictions",
      `${show(host.numEvictions)} in ${show(host.numSlots)} slots; ${show(host.numReusedAfterEviction)} asked for again, ${show(host.meanEvictToReuseMs)} ms later in the mean`,
    ],
    ...(storage
      ? [
          [
            "storage",
            `${show(storage.numChunks)} chunks, read ${show(storage.numPromoted)}, no room to read ${show(storage.numCutForRoom)}, not written ${show(storage.numDropped)}`,
          ] as const,
        ]
      : []),
    ["leased blocks", `peak ${show(leases.peakBlocks)} of ${show(leases.maxBlocks)}`],
    ["copying", `${show(copyMs / 1000)} s of the GPU's time`],
  ];
}

function showTiers({ gpu, host, storage }: OffloadReport["hitTokens"]): string {
  return `GPU ${show(gpu)}, host ${show(host)}, storage ${show(storage)}`;
}
