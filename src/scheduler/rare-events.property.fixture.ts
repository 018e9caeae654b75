import { ceilDiv } from "../util/math";
import type { Queues, SeenStep } from "./check-step.property.fixture";
import type { Life } from "./life.property.fixture";
import type { SchedulerOptions } from "./scheduler-options";
import type { SchedulerOutput } from "./scheduler-output";

/** What has to happen often in random runs, or they would prove little. */
const RARE_EVENTS = [
  "a hit on a block of a running request",
  "a hit on a block of a leaving row",
  "a hit within the step",
  "a hit on a free block",
  "a window group shortens the hit of a hybrid model",
  "a cached block is evicted",
  "a duplicate block is not published",
  "a block leaves its window",
  "a preemption",
  "a preemption with a step in flight",
  "a preemption of oneself",
  "a preempted request resumes with a hit",
  "a late output: request finished",
  "a late output: request aborted",
  "a late output: request preempted",
  "a leaving row delays a free",
  "a running request waits for blocks of leaving rows",
  "the head waits for watermark or reservation",
  "one ahead of those that run arrives",
  "an abort while waiting",
  "an abort while preempted",
  "an abort between steps",
  "an abort with a step in flight",
  "a reset while requests run",
  "a sample that is not finite",
  "an EOS",
  "a full request",
  "a request refused at the door",
  "a constrained request is preempted and not held any more",
  "a request released while preempted",
  "an id used again while its last request is in flight",
] as const;

export type RareEvent = (typeof RARE_EVENTS)[number];

export class RareEvents {
  readonly counts = new Map<RareEvent, number>(RARE_EVENTS.map((event) => [event, 0]));

  count(event: RareEvent, times = 1): void {
    this.counts.set(event, this.counts.get(event)! + times);
  }
}

/** Where a request that is admitted found its hit. */
export interface Hit {
  readonly blockIds: readonly number[];
  /** By the entries before it in the batch. */
  readonly writtenIds: ReadonlySet<number>;
  /** Before the step. */
  readonly freeIds: ReadonlySet<number>;
  readonly otherLives: readonly Life[];
}

/** Each kind of block counts once for a hit. */
export function countHit(events: RareEvents, hit: Hit): void {
  const kinds = new Set(hit.blockIds.map((blockId) => kindOfHit(hit, blockId)));
  for (const kind of kinds) if (kind) events.count(kind);
}

/** Null for a block that came free within the step. */
function kindOfHit({ writtenIds, freeIds, otherLives }: Hit, blockId: number): RareEvent | null {
  if (writtenIds.has(blockId)) return "a hit within the step";
  if (freeIds.has(blockId)) return "a hit on a free block";
  const holders = otherLives.filter((life) => life.heldBlockIds.includes(blockId));
  if (holders.some(({ end }) => end === null)) return "a hit on a block of a running request";
  return holders.length > 0 ? "a hit on a block of a leaving row" : null;
}

/** `numInFlight`: of the preempted requests, how many steps in flight name. */
export function countPreemptions(
  events: RareEvents,
  { before, output, preempted }: SeenStep,
  numInFlight: number,
): void {
  events.count("a preemption", preempted.length);
  events.count("a preemption with a step in flight", numInFlight);
  // One that preempts another takes its blocks at once, or waits for them.
  const tookBlocks = output?.scheduled.some(({ blockTableUpdates }) => blockTableUpdates.length > 0) ?? false;
  const numWaiting = before.numUnscheduled.size - preempted.length - numRunningIn(before, output);
  const isOfOneself = preempted.length === 1 && numWaiting === 0 && (numInFlight > 0 || !tookBlocks);
  if (isOfOneself) events.count("a preemption of oneself");
}

/** Who got nothing from a step, and why. */
export function countWaiting(
  events: RareEvents,
  { geometry, maxNumRunning, maxNumBatchedTokens }: SchedulerOptions,
  { before, isRowLeaving, output, preempted, numFreeBlocks }: SeenStep,
): void {
  if (!output) return;
  const numWaiting = before.numUnscheduled.size - preempted.length - numRunningIn(before, output);
  const hasBudget = output.numTokens < maxNumBatchedTokens;
  if (numWaiting > 0 && hasBudget) events.count("a running request waits for blocks of leaving rows");
  const head = before.waiting[output.newRows.length];
  const hasRow = before.running.length + output.newRows.length < maxNumRunning;
  if (!head || !hasRow || !hasBudget || isRowLeaving || numWaiting + preempted.length > 0) return;
  const numBlocks = geometry.groups.length * ceilDiv(head.numTokens + 1, geometry.blockSize);
  if (numBlocks <= numFreeBlocks) events.count("the head waits for watermark or reservation");
}

/** Requests in the step that ran before it. */
function numRunningIn({ numUnscheduled }: Queues, output: SchedulerOutput | null): number {
  const ids = new Set(Array.from(numUnscheduled.keys(), ({ requestId }) => requestId));
  return output?.scheduled.filter(({ requestId }) => ids.has(requestId)).length ?? 0;
}
