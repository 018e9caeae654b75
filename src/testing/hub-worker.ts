import { expose } from "comlink";
import { openCacheApi } from "../loader/cache/cache-api-store";
import { browserEnvironment } from "../loader/cache/cache-environment";
import { downloader } from "../loader/cache/downloader";
import { openOpfs } from "../loader/cache/opfs-store";
import { openModelFiles } from "../loader/model-files";
import { installErrorTransfer } from "../protocol/comlink-errors";
import type { ModelSource } from "../protocol/messages";
import { bytesToHex, Sha256 } from "../util/sha256";
import { checkStore } from "./store-suite";

const WEIGHTS = "model.safetensors";
const PARTS = { loadDownloader: async () => downloader, loadCacheApi: async () => openCacheApi };

installErrorTransfer();
let controller = new AbortController();

const hubWorker = {
  /** Loads a model's weights as the engine does; tells their SHA-256 and what was to be said about it. */
  async load(source: ModelSource, options: { readonly useCacheApi?: boolean } = {}) {
    controller = new AbortController();
    const { signal } = controller;
    const environment = {
      ...browserEnvironment(PARTS),
      ...(options.useCacheApi && { openRoot: openCacheApi }),
    };
    const files = openModelFiles(source, environment);
    try {
      const config = await files.readJson("config.json", { signal });
      await files.fetchAll([WEIGHTS], { signal });
      const hash = new Sha256();
      const reader = (await files.stream(WEIGHTS, { signal })).body.getReader();
      for (let read = await reader.read(); !read.done; read = await reader.read()) hash.update(read.value);
      return { hash: bytesToHex(hash.digest()), warnings: [...files.warnings], hasConfig: config !== null };
    } finally {
      files.close();
    }
  },

  abort(): void {
    controller.abort();
  },

  async checkStores(): Promise<Record<string, string[]>> {
    const [opfs, cacheApi] = [await openOpfs(), await openCacheApi()];
    return {
      opfs: opfs ? await checkStore(opfs) : ["there is none"],
      cacheApi: cacheApi ? await checkStore(cacheApi) : ["there is none"],
    };
  },
};

export type HubWorker = typeof hubWorker;

expose(hubWorker);
