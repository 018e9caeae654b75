import type { MemoryPlan } from "../protocol/memory-plan";
import { abortedError } from "./abort";
import { type CreateEngineOptions, type PlanMemoryOptions, validatePlanOptions } from "./engine-options";
import { startWorker } from "./start-worker";
import { WorkerConnection } from "./worker-connection";

export type { MemoryPlan };

/**
 * Tells what `createEngine` with this model and these options would take, before any weight is downloaded: only the model's
 * config and the headers of its weights are read. Rejects as createEngine does, but with `out_of_memory` or `device_limit`
 * only where no context fits at all. A context that was asked for and is too long is told: its `longestModelLen` is below its
 * `maxModelLen`, and createEngine refuses it with the same numbers. Nothing is left running.
 */
export async function planMemory(
  model: CreateEngineOptions["model"],
  options: PlanMemoryOptions = {},
): Promise<MemoryPlan> {
  const { init, workerUrl, signal } = validatePlanOptions(model, options);
  if (signal?.aborted) throw abortedError(signal.reason);
  const connection = new WorkerConnection(await startWorker(workerUrl), workerUrl && String(workerUrl));
  return connection.plan(init, signal);
}
