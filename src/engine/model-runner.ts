import type { SchedulerOutput, StepResult } from "../scheduler/scheduler-output";

/** What the step loop needs of the data plane. The GPU one is in runner/; tests use a scripted one. */
export interface ModelRunner {
  /**
   * Encodes and submits one step. Synchronous up to the queue submit. Steps run, and resolve, in the order of the calls;
   * several may be in flight. Rejects with `device_lost`, `gpu_error` or `out_of_memory`; later steps then reject too.
   */
  submit(output: SchedulerOutput): Promise<StepResult>;
  dispose(): void;
}
