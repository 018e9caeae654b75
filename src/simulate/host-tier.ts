import type { KvGeometry } from "../kv/geometry";
import { HostManager } from "../offload/host-manager";
import { OffloadConnector } from "../offload/offload-connector";
import { makeOffloadPolicy } from "../offload/offload-policy";
import { CairnError } from "../util/errors";
import type { SimulatorOptions } from "./options";

/** What a host tier is made of, of all settings. */
export type HostTierOptions = Pick<
  SimulatorOptions,
  "offloadPolicy" | "storeThreshold" | "hostEvictionPolicy" | "numStagingSlots" | "maxTransferBytesPerStep"
>;

export interface HostTier {
  readonly connector: OffloadConnector;
  readonly manager: HostManager;
}

/**
 * The engine's connector and manager over RAM that need not exist, for a pool of `numBlocks` blocks. Throws
 * `invalid_request` where `hostBytes` do not hold a chunk.
 */
export function makeHostTier(
  options: HostTierOptions,
  geometry: KvGeometry,
  numBlocks: number,
  hostBytes: number,
  now: () => number,
): HostTier {
  const chunkBytes = geometry.blocksPerChunk * geometry.pageBytes;
  const numSlots = Math.floor(hostBytes / chunkBytes);
  if (numSlots === 0) {
    const message = `hostBytes must hold a chunk of ${chunkBytes} bytes, not ${hostBytes}.`;
    throw new CairnError("invalid_request", message, { param: "hostBytes" });
  }
  const { hostEvictionPolicy, storeThreshold, offloadPolicy, numStagingSlots, maxTransferBytesPerStep } = options;
  const manager = new HostManager({
    numSlots,
    evictionPolicy: hostEvictionPolicy,
    storeThreshold,
    reserveSlot: () => true,
    now,
  });
  const policy = makeOffloadPolicy(offloadPolicy);
  const connector = new OffloadConnector({
    ...{ geometry, numBlocks, manager, policy, numStagingSlots, maxTransferBytesPerStep, now },
  });
  return { connector, manager };
}
