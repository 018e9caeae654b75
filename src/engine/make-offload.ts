import type { KvGeometry } from "../kv/geometry";
import { offloadedPageBytes } from "../kv/offload-encoding";
import { HostManager, type HostManagerOptions } from "../offload/host-manager";
import { defaultHostBytes, HostMemory } from "../offload/host-memory";
import { OffloadConnector } from "../offload/offload-connector";
import { makeOffloadPolicy } from "../offload/offload-policy";
import type { OpenStorage } from "../offload/storage/open-storage";
import type { EngineConfig } from "../protocol/engine-config";
import type { StoragePart } from "./lazy-parts";

/** What a host tier needs of its memory. */
export type OffloadMemory = Pick<HostMemory, "numSlots" | "reserve" | "slot" | "bytes">;

export interface Offload {
  readonly connector: OffloadConnector;
  /** The books of `memory`. */
  readonly host: HostManager;
  readonly memory: OffloadMemory;
  readonly storage: OpenStorage | null;
}

/** What it takes to keep KV beyond the page. */
export interface StorageParts extends StoragePart {
  readonly namespace: string;
  /** See kv-fingerprint.ts. */
  readonly fingerprint: string;
}

/** Bytes of RAM that the host tier may take; 0 where it is switched off or its budget holds no chunk. */
export function hostCacheBytes(geometry: KvGeometry, engineConfig: EngineConfig): number {
  if (!engineConfig.useHostCache || !engineConfig.usePrefixCache) return 0;
  const { deviceMemory } = (globalThis.navigator ?? {}) as { readonly deviceMemory?: number };
  const maxBytes = engineConfig.hostCacheBytes ?? defaultHostBytes(deviceMemory);
  return maxBytes < chunkBytes(geometry, engineConfig) ? 0 : maxBytes;
}

/** Null where there is no host tier. Nothing is allocated before the first store. */
export function makeHostMemory(geometry: KvGeometry, engineConfig: EngineConfig): HostMemory | null {
  const maxBytes = hostCacheBytes(geometry, engineConfig);
  return maxBytes === 0 ? null : new HostMemory({ chunkBytes: chunkBytes(geometry, engineConfig), maxBytes });
}

/** Bytes of a chunk below the GPU. */
export function chunkBytes(geometry: KvGeometry, { offloadEncoding }: Pick<EngineConfig, "offloadEncoding">): number {
  return geometry.blocksPerChunk * offloadedPageBytes(geometry, offloadEncoding);
}

/** The scheduler's connector to a host tier over this memory, and to a storage tier below it. `numBlocks` is the GPU's pool. */
export function makeOffload(
  memory: OffloadMemory,
  geometry: KvGeometry,
  numBlocks: number,
  engineConfig: EngineConfig,
  evictionPolicy: HostManagerOptions["evictionPolicy"],
  now: () => number,
  storageParts: StorageParts | null = null,
): Offload {
  const host = new HostManager({
    numSlots: memory.numSlots,
    evictionPolicy,
    storeThreshold: engineConfig.storeThreshold,
    reserveSlot: (slotId) => memory.reserve(slotId),
    now,
  });
  const storage = storageParts && openStorageTier(storageParts, host, memory, geometry, engineConfig, now);
  const connector = new OffloadConnector({
    geometry,
    blockBytes: offloadedPageBytes(geometry, engineConfig.offloadEncoding),
    numBlocks,
    manager: storage?.manager ?? host,
    loadPolicy: engineConfig.loadPolicy,
    policy: makeOffloadPolicy(engineConfig.offloadPolicy),
    numStagingSlots: engineConfig.numStagingSlots,
    maxTransferBytesPerStep: engineConfig.maxTransferBytesPerStep,
    now,
  });
  return { connector, host, memory, storage };
}

function openStorageTier(
  { openStorage, connect, namespace, fingerprint }: StorageParts,
  host: HostManager,
  slots: OffloadMemory,
  geometry: KvGeometry,
  engineConfig: EngineConfig,
  now: () => number,
): OpenStorage {
  const { storageBytes, storageTtlMs, storageBackend: backend } = engineConfig;
  const limits = { chunkBytes: chunkBytes(geometry, engineConfig), maxBytes: storageBytes, ttlMs: storageTtlMs };
  const storageOptions = { namespace, fingerprint, ...limits, backend };
  return openStorage({ host, slots, geometry, storageOptions, connect, now });
}
