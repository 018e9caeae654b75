import { drawOnTrack } from "../gpu/devtools-track";
import type { SchedulerOutput } from "../scheduler/scheduler-output";

/** What happened to a step: all of it was submitted; its ids were read back. Milliseconds of performance.now(). */
export interface StepEvent {
  readonly kind: "submitted" | "landed";
  readonly stepIndex: number;
  readonly timeMs: number;
}

/** Sees every step come and go. For tests. */
export type StepObserver = (event: StepEvent) => void;

/** An entry of the track "Cairn / Steps" in the performance panel, from submit to landing. */
export function drawStep({ stepIndex, numTokens, scheduled }: SchedulerOutput, startMs: number, endMs: number): void {
  const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const name = `step ${stepIndex}: ${count(numTokens, "token")}, ${count(scheduled.length, "request")}`;
  drawOnTrack("Steps", name, startMs, endMs);
}
