import type { KvGeometry } from "../kv/geometry";
import { policyOf } from "../offload/arc-policy";
import { HostManager } from "../offload/host-manager";
import { OffloadConnector } from "../offload/offload-connector";
import type { OffloadManager } from "../offload/offload-manager";
import { makeOffloadPolicy } from "../offload/offload-policy";
import type { StorageBooks } from "../offload/storage/storage-books";
import { TieredManager } from "../offload/storage/tiered-manager";
import { CairnError } from "../util/errors";
import { ModelledStorage, type StorageCosts } from "./modelled-storage";
import type { SimulatorOptions } from "./options";

/** What a host tier, and storage below it, are made of, of all settings. */
export type HostTierOptions = Pick<
  SimulatorOptions,
  | "offloadPolicy"
  | "storeThreshold"
  | "hostEvictionPolicy"
  | "numStagingSlots"
  | "maxTransferBytesPerStep"
  | "storageBytes"
  | "loadPolicy"
> &
  StorageCosts;

/** A modelled storage tier, and its books. */
export interface SimulatedStorage {
  readonly books: StorageBooks;
  readonly executor: ModelledStorage;
}

export interface HostTier {
  readonly connector: OffloadConnector;
  readonly manager: HostManager;
  /** Null where there is none. */
  readonly storage: SimulatedStorage | null;
}

/**
 * The engine's connector and manager over RAM that need not exist, for a pool of `numBlocks` blocks. Throws
 * `invalid_request` where `hostBytes`, or `storageBytes`, do not hold a chunk.
 */
export function makeHostTier(
  options: HostTierOptions,
  geometry: KvGeometry,
  numBlocks: number,
  hostBytes: number,
  now: () => number,
): HostTier {
  const chunkBytes = geometry.blocksPerChunk * geometry.pageBytes;
  const { hostEvictionPolicy, storeThreshold, offloadPolicy, numStagingSlots, maxTransferBytesPerStep } = options;
  const { storageBytes, loadPolicy } = options;
  const host = new HostManager({
    numSlots: numChunksIn(hostBytes, "hostBytes", chunkBytes),
    evictionPolicy: policyOf(hostEvictionPolicy),
    storeThreshold,
    reserveSlot: () => true,
    now,
  });
  let manager: OffloadManager = host;
  let storage: SimulatedStorage | null = null;
  if (storageBytes !== null) {
    const maxChunks = numChunksIn(storageBytes, "storageBytes", chunkBytes);
    const executor = new ModelledStorage({ costs: options, chunkBytes, maxChunks, now });
    const { blocksPerChunk, groups } = geometry;
    const tiers = new TieredManager({ host, executor, numGroups: groups.length, blocksPerChunk, chunkBytes, now });
    manager = tiers;
    storage = { books: tiers.storage, executor };
  }
  const policy = makeOffloadPolicy(offloadPolicy);
  const connector = new OffloadConnector({
    ...{ geometry, numBlocks, manager, policy, loadPolicy, numStagingSlots, maxTransferBytesPerStep, now },
  });
  return { connector, manager: host, storage };
}

function numChunksIn(bytes: number, param: string, chunkBytes: number): number {
  const numChunks = Math.floor(bytes / chunkBytes);
  if (numChunks > 0) return numChunks;
  const message = `${param} must hold a chunk of ${chunkBytes} bytes, not ${bytes}.`;
  throw new CairnError("invalid_request", message, { param });
}
