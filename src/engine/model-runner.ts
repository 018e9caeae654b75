import type { TransferResult } from "../offload/transfer-job";
import type { SamplingParams } from "../sampling/sampling-params";
import type { SchedulerOutput, StepResult } from "../scheduler/scheduler-output";

/** What comes of a step. */
export interface SubmittedStep {
  /** Rejects with `device_lost`, `gpu_error`, `out_of_memory` or `disposed`; those of later steps then reject too. */
  readonly landed: Promise<StepResult>;
  /** One a transfer job: stores, then loads, each in the step's order. None rejects; they may resolve in any order, before or after the step landed. */
  readonly transfers: readonly Promise<TransferResult>[];
}

/** What the step loop needs of the data plane. The GPU one is in runner/; tests use a scripted one. */
export interface ModelRunner {
  /**
   * Encodes and submits one step: its stores, its loads, then its tokens, if it has any. Synchronous up to the queue submit.
   * Steps run, and land, in the order of the calls; several may be in flight. `masks`: by row, of the constrained requests that
   * the step samples for; [ceil(vocab size / 32)], a bit for each id that may be sampled.
   */
  submit(output: SchedulerOutput, masks?: ReadonlyMap<number, Uint32Array<ArrayBuffer>>): SubmittedStep;
  /** Gets ready for requests that sample so; null where it is. They may be submitted when it resolved; rejects where they never can. A runner without it is ready for all. */
  prepare?(sampling: SamplingParams): Promise<void> | null;
  dispose(): void;
}
