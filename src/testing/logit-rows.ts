import type { SchedulerOutput } from "../scheduler/scheduler-output";

/** What an observer of logits got, by request, in batch order: views into `logits`. */
export function logitRows(output: SchedulerOutput, logits: Float32Array): [requestId: string, row: Float32Array][] {
  const sampling = output.scheduled.filter(({ samples }) => samples);
  const width = logits.length / sampling.length;
  return sampling.map(({ requestId }, row) => [requestId, logits.subarray(row * width, (row + 1) * width)]);
}
