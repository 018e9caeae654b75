import { type Endpoint, expose, transfer } from "comlink";
import { BlockStore } from "./block-store";
import type { StorageApi } from "./storage-api";

/** Serves a store to whoever started this worker, or to the other end of `endpoint`. Buffers are transferred, never copied. */
export function serveStorage(store: StorageApi = new BlockStore(), endpoint?: Endpoint): void {
  const api: StorageApi = {
    open: (options) => store.open(options),
    async write(clearEpoch, chunks) {
      const result = await store.write(clearEpoch, chunks);
      return transfer(result, [...result.buffers]);
    },
    async read(chunks) {
      const result = await store.read(chunks);
      return transfer(
        result,
        result.chunks.flatMap((bytes) => bytes ?? []),
      );
    },
    touch: (keys) => store.touch(keys),
    delete: (keys) => store.delete(keys),
    clear: () => store.clear(),
    flush: () => store.flush(),
    hear: () => store.hear(),
  };
  expose(api, endpoint);
}
