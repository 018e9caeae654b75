import type { ModelSource } from "../protocol/messages";
import { CairnEngine } from "./cairn-engine";
import { type CreateEngineOptions, validateEngineOptions } from "./engine-options";
import { WorkerConnection } from "./worker-connection";

/**
 * Loads a model into a worker and resolves when it can answer. Rejects with a CairnError: `invalid_request` or
 * `unsupported_parameter` for the options, `aborted`, `worker_failed`, `no_webgpu`, `no_adapter`, `out_of_memory`, or
 * what is wrong with the model's files. Nothing is left running after a rejection.
 */
export async function createEngine(options: CreateEngineOptions): Promise<CairnEngine> {
  const { init, workerUrl, onProgress, signal } = validateEngineOptions(options);
  const connection = await WorkerConnection.open(workerUrl, signal);
  const info = await connection.init(init, onProgress, signal);
  keepStorage(init.model);
  return new CairnEngine(connection, info, init.namespace);
}

/** Asks the browser not to clear what it keeps when it runs short; some ask the user, so nothing waits for the answer. */
function keepStorage(model: ModelSource): void {
  if ((model.kind !== "hub" && model.kind !== "url") || model.cache === false) return;
  globalThis.navigator?.storage?.persist?.().catch(() => {});
}
