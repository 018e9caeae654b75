import type { KvStats } from "../index";
import { formatBytes, formatDuration, formatInteger } from "./format";

/** Some rows of the table under a title of their own. */
export interface KvSection {
  readonly title: string;
  readonly rows: readonly (readonly [label: string, value: string])[];
}

/** What the table says; of a tier that is off nothing else. */
export function kvSections(stats: KvStats): readonly KvSection[] {
  const withoutHost: KvSection = { title: "RAM", rows: [["Copies of KV", "off"]] };
  return [
    gpuSection(stats.gpu),
    stats.host ? hostSection(stats.host) : withoutHost,
    storageSection(stats.storage),
    tokenSection(stats),
    ...(stats.host ? transferSections(stats) : []),
    {
      title: "Requests",
      rows: [
        ["Preemptions", formatInteger(stats.numPreemptions)],
        ["GPU devices lost", formatInteger(stats.numDeviceLosses)],
      ],
    },
  ];
}

function gpuSection({ numBlocks, numFreeBlocks, numCachedBlocks }: KvStats["gpu"]): KvSection {
  return {
    title: "GPU",
    rows: [
      ["Blocks", formatInteger(numBlocks)],
      ["Free", formatInteger(numFreeBlocks)],
      ["Cached", formatInteger(numCachedBlocks)],
    ],
  };
}

function hostSection(host: NonNullable<KvStats["host"]>): KvSection {
  const { meanEvictToReuseMs, numReusedAfterEviction } = host;
  return {
    title: "RAM",
    rows: [
      ["Slots used", outOf(host.numSlots - host.numFreeSlots, host.numSlots)],
      ["Memory", `${formatBytes(host.allocatedBytes)} of ${formatBytes(host.numSlots * host.chunkBytes)}`],
      ["Slots being written", formatInteger(host.numPendingSlots)],
      ["Slots being read", formatInteger(host.numPinnedSlots)],
      ["Evictions", formatInteger(host.numEvictions)],
      [
        "Evict to reuse",
        meanEvictToReuseMs === null
          ? "none yet"
          : `${formatInteger(numReusedAfterEviction)}, mean ${formatDuration(meanEvictToReuseMs)}`,
      ],
    ],
  };
}

const STORAGE_STATES = {
  starting: "starting",
  ready: "ready",
  readOnly: "full: read only",
  off: "failed: RAM only",
} as const;

function storageSection(storage: KvStats["storage"]): KvSection {
  if (!storage) return { title: "Storage", rows: [["Copies of KV", "off"]] };
  const { lastFault } = storage;
  return {
    title: "Storage",
    rows: [
      ["State", STORAGE_STATES[storage.state]],
      ["Durable, this model", formatBytes(storage.durableBytes)],
      ["Not yet durable", formatBytes(storage.notYetDurableBytes)],
      ["Used", `${formatBytes(storage.usedBytes)} of ${formatBytes(storage.maxBytes)}`],
      ["Written today", formatBytes(storage.bytesWrittenToday)],
      ["Chunks promoted", formatInteger(storage.numPromoted)],
      ["Chunks not found", formatInteger(storage.numFailed)],
      ["Chunks not written", formatInteger(storage.numDropped)],
      ["Last fault", lastFault === null ? "none" : `${lastFault.code}: ${lastFault.message}`],
    ],
  };
}

function tokenSection({ tokens, host, storage }: KvStats): KvSection {
  const fromRam = [["Loaded from RAM", formatInteger(tokens.host)]] as const;
  const fromStorage = [["Loaded from storage", formatInteger(tokens.storage)]] as const;
  return {
    title: "Tokens",
    rows: [
      ["Computed", formatInteger(tokens.computed)],
      ["Found on the GPU", formatInteger(tokens.gpu)],
      ...(host ? fromRam : []),
      ...(storage ? fromStorage : []),
    ],
  };
}

function transferSections({ stores, loads, deferrals, leases }: KvStats): readonly KvSection[] {
  return [
    {
      title: "Stores, GPU to RAM",
      rows: [
        ["Done", formatInteger(stores.numDone)],
        ["Moved", formatBytes(stores.bytes)],
        ["Waiting", formatInteger(stores.numWaiting)],
        ["In flight", formatInteger(stores.numInFlight)],
        ["Failed", formatInteger(stores.numFailed)],
        ["Cancelled", formatInteger(stores.numCancelled)],
        ["Refused: no slot", formatInteger(stores.numRefused.noSlot)],
        ["Refused: unseen", formatInteger(stores.numRefused.unseen)],
        ["Refused: no room", formatInteger(stores.numRefused.noRoom)],
        ["Leased blocks", outOf(leases.numBlocks, leases.maxBlocks)],
      ],
    },
    {
      title: "Loads, RAM to GPU",
      rows: [
        ["Started", formatInteger(loads.numStarted)],
        ["Moved", formatBytes(loads.bytes)],
        ["Failed", formatInteger(loads.numFailed)],
        ["Revoked", formatInteger(loads.numRevoked)],
        ["Declined", formatInteger(loads.numDeclined)],
      ],
    },
    {
      title: "Deferrals",
      rows: [
        ["Another load under way", formatInteger(deferrals.loading)],
        ["Lookup pending", formatInteger(deferrals.pending)],
        ["To be asked again", formatInteger(deferrals.retry)],
        ["Timed out", formatInteger(deferrals.numTimedOut)],
        ["Waiting now", formatInteger(deferrals.numWaiting)],
      ],
    },
  ];
}

function outOf(count: number, limit: number): string {
  return `${formatInteger(count)} of ${formatInteger(limit)}`;
}
