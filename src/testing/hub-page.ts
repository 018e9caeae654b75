import { type Remote, wrap } from "comlink";
import { deleteCachedModel, listCachedModels } from "../api/cached-models";
import { installErrorTransfer } from "../protocol/comlink-errors";
import type { HubWorker } from "./hub-worker";

declare global {
  interface Window {
    hubWorker: Remote<HubWorker>;
    cachedModels: { list: typeof listCachedModels; delete: typeof deleteCachedModel };
  }
}

installErrorTransfer();
window.hubWorker = wrap(new Worker(new URL("./hub-worker.ts", import.meta.url), { type: "module" }));
window.cachedModels = { list: listCachedModels, delete: deleteCachedModel };
