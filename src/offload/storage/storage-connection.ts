import { transfer, wrap } from "comlink";
import type { StorageApi } from "./storage-api";

/** Of the worker that runs `serveStorage`: a script that serves several kinds of worker tells them apart by it. */
export const STORAGE_WORKER_NAME = "cairn-storage";

/** A store, wherever it runs. */
export interface StorageConnection {
  readonly api: StorageApi;
  /** Ends it; calls under way may never answer. */
  close(): void;
  /** Nothing more is asked of it: this thread ends. */
  leave(): void;
  /** Calls back when nothing more will come from it. */
  onDeath(callback: (message: string) => void): void;
}

/** A store in a worker of its own, whose script at `source` calls `serveStorage`. Throws where no worker can be started. */
export function startStorageWorker(source: string): StorageConnection {
  const worker = new Worker(source, { type: "module", name: STORAGE_WORKER_NAME });
  const remote = wrap<StorageApi>(worker);
  return {
    api: {
      open: (options) => remote.open(options),
      write: (clearEpoch, chunks) => {
        return remote.write(
          clearEpoch,
          transfer(
            chunks,
            chunks.map(({ bytes }) => bytes),
          ),
        );
      },
      read: (chunks) => remote.read(chunks),
      touch: (keys) => remote.touch(keys),
      delete: (keys) => remote.delete(keys),
      clear: () => remote.clear(),
      flush: () => remote.flush(),
      hear: () => remote.hear(),
    },
    close: () => worker.terminate(),
    // It ends with this thread. Where it is ended just before, Chromium 156 may leave this thread's worker alive for ever.
    leave() {},
    onDeath(callback) {
      worker.addEventListener("error", ({ message }) => callback(message || "its script could not be loaded"));
      worker.addEventListener("messageerror", () => callback("a message could not be read"));
    },
  };
}
