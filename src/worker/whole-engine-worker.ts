// The worker as a file of its own, for `workerUrl`: with all its parts.
import type { LazyParts } from "../engine/lazy-parts";
import { openStorage } from "../offload/storage/open-storage";
import { serveStorage } from "../offload/storage/serve-storage";
import { STORAGE_WORKER_NAME, startStorageWorker } from "../offload/storage/storage-connection";
import { logitStages } from "./parts/logit-stages";
import { profiler } from "./parts/profiler";
import { quantization } from "./parts/quantization";
import { selfTest } from "./parts/self-test";
import { serveEngine } from "./serve-engine";

const storage = { openStorage, connect: () => startStorageWorker(location.href) };
const PARTS: LazyParts = { selfTest, quantization, profiler, storage, logitStages };

// It starts itself a second time for the storage.
if (self.name === STORAGE_WORKER_NAME) serveStorage();
else serveEngine(() => async (name) => PARTS[name]);
