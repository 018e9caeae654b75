// The worker as a file of its own, for `workerUrl`: with all its parts, but for the large one that few pages need. It is the engine
// of one page or, as a SharedWorker, of several.
import type { LazyParts, LoadPart } from "../engine/lazy-parts";
import { openStorage } from "../offload/storage/open-storage";
import { serveStorage } from "../offload/storage/serve-storage";
import { STORAGE_WORKER_NAME, startStorageWorker } from "../offload/storage/storage-connection";
import { openStorageHere } from "../offload/storage/storage-here";
import type { PartSource } from "../protocol/messages";
import { CairnError } from "../util/errors";
import { BUNDLED_PARTS } from "./bundled-parts";
import { importPart } from "./load-part";
import { serveEngine } from "./serve-engine";
import { serveSharedEngine } from "./serve-shared-engine";

const isShared = "SharedWorkerGlobalScope" in self;
// No browser lets a SharedWorker start workers.
const connect = () => (isShared ? openStorageHere() : startStorageWorker(location.href));
const storage = { openStorage, connect };
const PARTS: Omit<LazyParts, "grammar"> = { ...BUNDLED_PARTS, storage };

// It starts itself a second time for the storage.
if (self.name === STORAGE_WORKER_NAME) serveStorage();
else if (isShared) serveSharedEngine(partsFrom);
else serveEngine(partsFrom);

function partsFrom(source: PartSource | null): LoadPart {
  const importOne = importPart(source, { CairnError });
  return async (name) => (name in PARTS ? (PARTS as LazyParts)[name] : importOne(name));
}
