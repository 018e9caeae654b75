import { proxy, type Remote, wrap } from "comlink";
import type { StorageOptions } from "../offload/storage/storage-api";
import { startStorageWorker } from "../offload/storage/storage-connection";
import type { EngineInit } from "../protocol/messages";
import * as rows from "./block-rows";
import { type ChunkCheck, DerivedChunks } from "./derived-chunks";
import type { StorageScenarios } from "./storage-scenarios";
import type { StorageWorker } from "./storage-worker";
import storeUrl from "./store-worker?worker&url";
import { STORE_CHANNEL, type StoreDeath } from "./store-worker-channel";

const worker = wrap<StorageWorker>(new Worker(new URL("./storage-worker.ts", import.meta.url), { type: "module" }));
let hold: rows.Hold | null = null;

const page = {
  rows,
  stores: worker,

  /** Loads an engine in a worker, and sets `storage`. */
  async open(init: EngineInit): Promise<void> {
    window.storage = await worker.open(init);
  },

  /** No other transaction on the database begins, or no open of it answers, until `release`, or until the browser ends it. */
  async hold(what: "transactions" | "opens"): Promise<void> {
    hold = await (what === "opens" ? rows.holdOpens() : rows.holdTransactions());
  },

  /** Resolves when it is so. */
  release: () => hold?.release(),

  /** Resolves when the browser has closed the connection that holds transactions back. */
  untilClosed: () => hold?.closed,

  /** The storage worker ends by itself; resolves when it does. */
  async killStore(death: StoreDeath): Promise<void> {
    const channel = new BroadcastChannel(STORE_CHANNEL);
    const isDying = new Promise((resolve) => {
      channel.onmessage = resolve;
    });
    channel.postMessage(death);
    await isDying;
    channel.close();
  },

  /** Checks the chunks that `writeChunks` has written before. */
  async checkChunks(backend: StorageOptions["backend"]): Promise<ChunkCheck> {
    const chunks = new DerivedChunks(storeUrl, backend);
    const check = await chunks.check();
    chunks.close();
    return check;
  },

  /** Reads all records that an engine has written, past it. */
  async checkRecords(options: StorageOptions): Promise<rows.StoreCheck> {
    const { api, close } = startStorageWorker(storeUrl);
    const check = await rows.checkStore(api, options);
    close();
    return check;
  },

  /** Writes chunks without an end, past an engine, and a line to the console at each write's begin and end. */
  writeChunks(firstId: number, backend: StorageOptions["backend"]): Promise<never> {
    return new DerivedChunks(storeUrl, backend).write(firstId, (...write) => console.log("write", ...write));
  },

  /** Writes a line to the console at each write's begin and end. */
  async logWrites(): Promise<void> {
    await worker.watchWrites(proxy((...write) => console.log("write", ...write)));
  },
};

declare global {
  interface Window {
    storagePage: typeof page;
    storage: Remote<StorageScenarios>;
  }
}

window.storagePage = page;
