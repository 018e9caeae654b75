import type { EngineInit, ModelSource } from "../protocol/messages";
import { CairnEngine } from "./cairn-engine";
import { type CreateEngineOptions, validateEngineOptions } from "./engine-options";
import { loadPart } from "./load-extras";
import { WorkerConnection, type WorkerLike } from "./worker-connection";

/**
 * Loads a model into a worker and resolves when it can answer. Rejects with a CairnError: `invalid_request` or
 * `unsupported_parameter` for the options, `aborted`, `worker_failed`, `no_webgpu`, `no_adapter`, `out_of_memory`, or
 * what is wrong with the model's files. Nothing is left running after a rejection, but what other tabs want of an engine that they share.
 */
export async function createEngine(options: CreateEngineOptions): Promise<CairnEngine> {
  const { init, workerUrl, shared, onProgress, signal } = validateEngineOptions(options);
  const start = workerUrl && shared ? () => startShared(workerUrl, init) : undefined;
  const connection = await WorkerConnection.open(workerUrl, signal, start);
  const info = await connection.init(init, onProgress, signal);
  keepStorage(init.model);
  return new CairnEngine(connection, info, init.namespace);
}

async function startShared(workerUrl: string | URL, init: EngineInit): Promise<WorkerLike> {
  const { startSharedWorker } = await loadPart("shared-worker", () => import("./shared-worker"));
  return startSharedWorker(workerUrl, init);
}

/** Asks the browser not to clear what it keeps when it runs short; some ask the user, so nothing waits for the answer. */
function keepStorage(model: ModelSource): void {
  if ((model.kind !== "hub" && model.kind !== "url") || model.cache === false) return;
  globalThis.navigator?.storage?.persist?.().catch(() => {});
}
