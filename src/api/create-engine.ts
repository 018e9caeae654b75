import type { ModelSource } from "../protocol/messages";
import { abortedError } from "./abort";
import { CairnEngine } from "./cairn-engine";
import { type CreateEngineOptions, validateEngineOptions } from "./engine-options";
import { startWorker } from "./start-worker";
import { WorkerConnection } from "./worker-connection";

/**
 * Loads a model into a worker and resolves when it can answer. Rejects with a CairnError: `invalid_request` or
 * `unsupported_parameter` for the options, `aborted`, `worker_failed`, `no_webgpu`, `no_adapter`, `out_of_memory`, or
 * what is wrong with the model's files. Nothing is left running after a rejection.
 */
export async function createEngine(options: CreateEngineOptions): Promise<CairnEngine> {
  const { init, workerUrl, onProgress, signal } = validateEngineOptions(options);
  if (signal?.aborted) throw abortedError(signal.reason);
  const connection = new WorkerConnection(await startWorker(workerUrl), workerUrl && String(workerUrl));
  const info = await connection.init(init, onProgress, signal);
  keepStorage(init.model);
  return new CairnEngine(connection, info);
}

/** Asks the browser not to clear what it keeps when it runs short; some ask the user, so nothing waits for the answer. */
function keepStorage(model: ModelSource): void {
  if ((model.kind !== "hub" && model.kind !== "url") || model.cache === false) return;
  globalThis.navigator?.storage?.persist?.().catch(() => {});
}
