import { expose, proxy } from "comlink";
import { type StorageConnection, startStorageWorker } from "../offload/storage/storage-connection";
import type { EngineInit } from "../protocol/messages";
import { damageRow } from "./block-rows";
import { StorageScenarios } from "./storage-scenarios";
import type { StoreKind } from "./store-worker";
import storeUrl from "./store-worker?worker&url";

let storeScript: string | null = null;
let connection: StorageConnection | null = null;
let onWrite: (event: "begin" | "end", writeId: number, numChunks: number) => void = () => {};
let numWrites = 0;

/** A store in a worker of its own, whose writes are told. */
function connect(): StorageConnection {
  const { api, ...rest } = startStorageWorker(storeScript ?? storeUrl);
  const write: typeof api.write = async (clearEpoch, chunks) => {
    const writeId = ++numWrites;
    onWrite("begin", writeId, chunks.length);
    const result = await api.write(clearEpoch, chunks);
    onWrite("end", writeId, chunks.length);
    return result;
  };
  connection = { ...rest, leave: rest.close, api: { ...api, write } };
  return connection;
}

/** The test-only worker entry: engines one after the other over one device, and the storage worker that each starts. */
const storageWorker = {
  async open(init: EngineInit) {
    return proxy(await StorageScenarios.open(navigator.gpu, init, connect));
  },

  /** Of the stores that are started from now on; "missing": their script does not exist. */
  useStores(kind: StoreKind | "missing"): void {
    storeScript = kind === "missing" ? new URL("missing.js", location.href).href : `${storeUrl}#${kind}`;
  },

  /** Here, because pages cannot open a file as it takes. */
  damageRow,

  /** Ends the storage worker of the engine that runs, and tells nobody. */
  terminateStore(): void {
    connection?.close();
  },

  /** Calls back at each write's begin and end. */
  watchWrites(callback: typeof onWrite): void {
    onWrite = callback;
  },
};

export type StorageWorker = typeof storageWorker;

expose(storageWorker);
