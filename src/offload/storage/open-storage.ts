import type { KvGeometry } from "../../kv/geometry";
import type { HostManager } from "../host-manager";
import type { HostSlots } from "../transfer-job";
import type { StorageOptions } from "./storage-api";
import type { StorageBooks } from "./storage-books";
import type { StorageConnection } from "./storage-connection";
import { type StorageDeadlines, StorageOpExecutor } from "./storage-executor";
import { TieredManager } from "./tiered-manager";

export interface OpenStorageOptions {
  readonly host: HostManager;
  /** The memory of the host's slots. */
  readonly slots: HostSlots;
  readonly geometry: KvGeometry;
  readonly storageOptions: StorageOptions;
  /** Starts a store; see StorageOpExecutor. */
  readonly connect: () => StorageConnection;
  /** A clock in milliseconds. */
  readonly now: () => number;
  /** Those of the executor, unless given. */
  readonly deadlines?: StorageDeadlines;
}

/** RAM and storage: their books, and what carries out what the books want. */
export interface OpenStorage {
  readonly manager: TieredManager;
  /** Those of storage. */
  readonly books: StorageBooks;
  readonly executor: StorageOpExecutor;
}

/** Begins to open the store; until it is open the tier says of nothing that it is not there. Never throws for a store that fails. */
export function openStorage(options: OpenStorageOptions): OpenStorage {
  const { host, slots, geometry, storageOptions, connect, now, deadlines } = options;
  const executor = new StorageOpExecutor({ connect, storageOptions, slots, now, ...deadlines });
  const { blocksPerChunk, groups } = geometry;
  const { chunkBytes } = storageOptions;
  const manager = new TieredManager({ host, executor, numGroups: groups.length, blocksPerChunk, chunkBytes, now });
  return { manager, books: manager.storage, executor };
}
