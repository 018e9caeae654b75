import type { KvStats } from "../index";
import { formatBytes, formatDuration, formatInteger } from "./format";

/** Some rows of the table under a title of their own. */
export interface KvSection {
  readonly title: string;
  readonly rows: readonly (readonly [label: string, value: string])[];
}

/** What the table says; without the host tier nothing of RAM but that it is off. */
export function kvSections(stats: KvStats): readonly KvSection[] {
  const withoutHost: KvSection = { title: "RAM", rows: [["Copies of KV", "off"]] };
  return [
    gpuSection(stats.gpu),
    stats.host ? hostSection(stats.host) : withoutHost,
    tokenSection(stats),
    ...(stats.host ? transferSections(stats) : []),
    { title: "Requests", rows: [["Preemptions", formatInteger(stats.numPreemptions)]] },
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

function tokenSection({ tokens, host }: KvStats): KvSection {
  const fromRam = [["Loaded from RAM", formatInteger(tokens.host)]] as const;
  return {
    title: "Tokens",
    rows: [
      ["Computed", formatInteger(tokens.computed)],
      ["Found on the GPU", formatInteger(tokens.gpu)],
      ...(host ? fromRam : []),
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
