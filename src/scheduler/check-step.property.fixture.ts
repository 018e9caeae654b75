import { assert } from "../util/errors";
import type { Request } from "./request";
import type { SchedulerOptions } from "./scheduler-options";
import type { SchedulerOutput } from "./scheduler-output";

/** Requests before a step, each list in the order of (priority, arrival). Held ones do not wait, and have nothing to feed. */
export interface Queues {
  readonly waiting: readonly Request[];
  readonly running: readonly Request[];
  /** Of the running requests that have tokens to feed, how many. */
  readonly numUnscheduled: ReadonlyMap<Request, number>;
  readonly numPreemptions: ReadonlyMap<Request, number>;
}

export function snapshotQueues(live: Iterable<Request>, maxModelLen: number): Queues {
  const ordered = [...live].sort((a, b) => a.priority - b.priority || a.arrivalIndex - b.arrivalIndex);
  const running = ordered.filter(({ status }) => status === "running");
  const numUnscheduled = running.map((request) => {
    const numTokens = Math.min(request.numTokens + request.numOutputPlaceholders, request.maxNumFedTokens(maxModelLen));
    return [request, request.isHeld ? 0 : numTokens - request.numComputedTokens] as const;
  });
  return {
    waiting: ordered.filter(({ status, isHeld }) => status !== "running" && !isHeld),
    running,
    numUnscheduled: new Map(numUnscheduled.filter(([, numTokens]) => numTokens > 0)),
    numPreemptions: new Map(running.map((request) => [request, request.numPreemptions])),
  };
}

/** A step as it was scheduled, with what was there before and after. */
export interface SeenStep {
  readonly before: Queues;
  /** Before it, blocks waited for steps in flight. */
  readonly isRowLeaving: boolean;
  readonly output: SchedulerOutput | null;
  /** In the order of (priority, arrival). */
  readonly preempted: readonly Request[];
  /** After it. */
  readonly numFreeBlocks: number;
}

/** Order, budget and limits of a step. */
export function checkStep(options: SchedulerOptions, step: SeenStep): void {
  const { numBlocks, maxNumBatchedTokens, maxPrefillChunkTokens, maxNumRunning, admissionWatermark } = options;
  const { before, isRowLeaving, output, preempted, numFreeBlocks } = step;
  const { waiting, running, numUnscheduled } = before;
  const kept = running.slice(0, running.length - preempted.length);
  assert(!kept.some((request) => preempted.includes(request)), "others than the last were preempted");
  if (!output) return;
  const admitted = waiting.slice(0, output.newRows.length);
  assert(preempted.length === 0 || output.newRows.length === 0, "a step preempts and admits");
  assert(namesOf(output.newRows) === namesOf(admitted), "requests were admitted out of order");
  assert(kept.length + admitted.length <= maxNumRunning, "too many requests run");
  const wasAlone = !isRowLeaving && kept.length + admitted.length === 1;
  const numKeptFree = admitted.length > 0 && !wasAlone ? Math.ceil(admissionWatermark * (numBlocks - 1)) : 0;
  assert(numFreeBlocks >= numKeptFree, () => `${numFreeBlocks} blocks stay free, the watermark is ${numKeptFree}`);
  assert(output.numTokens <= maxNumBatchedTokens, "a step is over its token budget");
  const isChunkTooLong = output.scheduled.some(({ numTokens }) => numTokens > (maxPrefillChunkTokens ?? numTokens));
  assert(!isChunkTooLong, "a chunk is too long");
  const scheduledIds = new Set(output.scheduled.map(({ requestId }) => requestId));
  const inOrder = [...kept, ...admitted].filter(({ requestId }) => scheduledIds.has(requestId));
  assert(namesOf(output.scheduled) === namesOf(inOrder), "the batch is not in the order of the queue");
  const passedOver = kept.find((request) => numUnscheduled.get(request) === 1 && !scheduledIds.has(request.requestId));
  const mayWait = isRowLeaving || preempted.length > 0;
  assert(!passedOver || mayWait, () => `${passedOver?.requestId} had one token to feed, and was passed over`);
}

function namesOf(named: Iterable<{ readonly requestId: string }>): string {
  return Array.from(named, ({ requestId }) => requestId).join(" ");
}
