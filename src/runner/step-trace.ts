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
export function drawStep(output: SchedulerOutput, startMs: number, endMs: number): void {
  drawOnTrack("Steps", `step ${output.stepIndex}: ${workOf(output).join(", ")}`, startMs, endMs);
}

/** What a step does, in words: its tokens, and the blocks that it moves. */
function workOf({ numTokens, scheduled, transfers: { stores, loads } }: SchedulerOutput): string[] {
  const numLoaded = loads.reduce((sum, { blocks }) => sum + blocks.length, 0);
  const work: string[] = [];
  if (numTokens > 0) work.push(count(numTokens, "token"), count(scheduled.length, "request"));
  if (stores.length > 0) work.push(count(stores.length, "store"));
  if (numLoaded > 0) work.push(`${count(numLoaded, "block")} loaded`);
  return work;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
