import type { MemoryPlan } from "../protocol/memory-plan";
import { type CreateEngineOptions, type PlanMemoryOptions, validatePlanOptions } from "./engine-options";
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
  const connection = await WorkerConnection.open(workerUrl, signal);
  return connection.plan(init, signal);
}
