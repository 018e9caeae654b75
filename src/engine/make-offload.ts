import type { KvGeometry } from "../kv/geometry";
import { HostManager } from "../offload/host-manager";
import { defaultHostBytes, HostMemory } from "../offload/host-memory";
import { OffloadConnector } from "../offload/offload-connector";
import { makeOffloadPolicy } from "../offload/offload-policy";
import type { EngineConfig } from "../protocol/engine-config";

export interface Offload {
  readonly connector: OffloadConnector;
  readonly memory: HostMemory;
}

/** Bytes of RAM that the host tier may take; 0 where it is switched off. */
export function hostCacheBytes({ useHostCache, usePrefixCache, hostCacheBytes }: EngineConfig): number {
  if (!useHostCache || !usePrefixCache) return 0;
  const { deviceMemory } = (globalThis.navigator ?? {}) as { readonly deviceMemory?: number };
  return hostCacheBytes ?? defaultHostBytes(deviceMemory);
}

/** Null where the budget holds no chunk. Nothing is allocated before the first store. */
export function makeHostMemory(geometry: KvGeometry, engineConfig: EngineConfig): HostMemory | null {
  const chunkBytes = geometry.blocksPerChunk * geometry.pageBytes;
  const maxBytes = hostCacheBytes(engineConfig);
  return maxBytes < chunkBytes ? null : new HostMemory({ chunkBytes, maxBytes });
}

/** The scheduler's connector to a host tier over this memory. `numBlocks` is the GPU's pool. */
export function makeOffload(
  memory: HostMemory,
  geometry: KvGeometry,
  numBlocks: number,
  engineConfig: EngineConfig,
  now: () => number,
): Offload {
  const manager = new HostManager({
    numSlots: memory.numSlots,
    evictionPolicy: engineConfig.hostEvictionPolicy,
    storeThreshold: engineConfig.storeThreshold,
    reserveSlot: (slotId) => memory.reserve(slotId),
    now,
  });
  const connector = new OffloadConnector({
    geometry,
    numBlocks,
    manager,
    policy: makeOffloadPolicy(engineConfig.offloadPolicy),
    numStagingSlots: engineConfig.numStagingSlots,
    maxTransferBytesPerStep: engineConfig.maxTransferBytesPerStep,
    now,
  });
  return { connector, memory };
}
