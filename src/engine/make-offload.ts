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

/** Bytes of RAM that the host tier may take; 0 where it is switched off or its budget holds no chunk. */
export function hostCacheBytes(geometry: KvGeometry, engineConfig: EngineConfig): number {
  if (!engineConfig.useHostCache || !engineConfig.usePrefixCache) return 0;
  const { deviceMemory } = (globalThis.navigator ?? {}) as { readonly deviceMemory?: number };
  const maxBytes = engineConfig.hostCacheBytes ?? defaultHostBytes(deviceMemory);
  return maxBytes < chunkBytes(geometry) ? 0 : maxBytes;
}

/** Null where there is no host tier. Nothing is allocated before the first store. */
export function makeHostMemory(geometry: KvGeometry, engineConfig: EngineConfig): HostMemory | null {
  const maxBytes = hostCacheBytes(geometry, engineConfig);
  return maxBytes === 0 ? null : new HostMemory({ chunkBytes: chunkBytes(geometry), maxBytes });
}

function chunkBytes({ blocksPerChunk, pageBytes }: KvGeometry): number {
  return blocksPerChunk * pageBytes;
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
