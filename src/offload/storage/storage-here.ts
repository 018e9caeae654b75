import { BlockStore, type BlockStoreOptions } from "./block-store";
import type { StorageConnection } from "./storage-connection";

/** A store in this thread, for where no worker can be started. It dies with its thread, so nobody is told. */
export function openStorageHere(options?: BlockStoreOptions): StorageConnection {
  const store = new BlockStore(options);
  return { api: store, close: () => store.close(), leave: () => store.close(), onDeath() {} };
}
