import type { OffloadConnector } from "../offload/offload-connector";
import type { Request } from "../scheduler/request";
import type { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { CairnError } from "../util/errors";
import { type ModelledExecutor, makeStepResult } from "./executor";
import type { SimulatedStorage } from "./host-tier";
import type { Recorder } from "./recorder";

/** The time of a simulation, in milliseconds; it jumps from event to event. */
export class VirtualClock {
  nowMs = 0;
  readonly now = (): number => this.nowMs;
}

/** Requests that come, in the order of their times. */
export interface Arrivals {
  /** Infinity when none is left. */
  readonly nextMs: number;
  take(): Request;
}

/** Nobody comes any more. */
export const NO_ARRIVALS: Arrivals = {
  nextMs: Number.POSITIVE_INFINITY,
  take() {
    throw new CairnError("internal", "no request arrives");
  },
};

export interface EventLoopParts {
  readonly clock: VirtualClock;
  readonly scheduler: Scheduler;
  /** Of the scheduler; null where nothing is offloaded. */
  readonly connector: OffloadConnector | null;
  /** Null where there is no storage tier. */
  readonly storage: SimulatedStorage | null;
  readonly executor: ModelledExecutor;
  readonly recorder: Recorder;
  readonly sampleTokenId: (requestId: string) => number;
  /** Comes after every call of `schedule`, with what it gave. */
  readonly observe?: (output: SchedulerOutput | null) => void;
}

/** What a request may be refused for at the door, by its size alone. */
const REFUSALS: ReadonlySet<string> = new Set(["context_length_exceeded", "cache_too_small"]);

/**
 * The engine's step loop over the virtual clock, from its present time on. An event is an arrival, a step's, a copy's or
 * storage's result, or the end of a wait for a tier. Ends when none is left, also where requests are left that can never go on.
 */
export function runEvents(parts: EventLoopParts, arrivals: Arrivals): void {
  const { clock, scheduler } = parts;
  for (let { nowMs } = clock; nowMs < Number.POSITIVE_INFINITY; nowMs = nextEventMs(parts, arrivals)) {
    clock.nowMs = nowMs;
    takeResults(parts);
    while (arrivals.nextMs <= nowMs) {
      const arrivalMs = arrivals.nextMs;
      addRequest(parts, arrivals.take(), arrivalMs);
    }
    scheduleSteps(parts);
    parts.recorder.gauge(
      {
        numBlocks: scheduler.numUsableBlocks - scheduler.numFreeBlocks,
        numLoading: scheduler.numLoading,
        numLeasedBlocks: parts.connector?.stats.numLeasedBlocks ?? 0,
      },
      nowMs,
    );
  }
}

/** Puts a request into the queue; one that is refused is counted and left out. */
export function addRequest({ scheduler, recorder }: EventLoopParts, request: Request, arrivalMs: number): void {
  try {
    scheduler.addRequest(request);
  } catch (error) {
    const isRefusal = error instanceof CairnError && REFUSALS.has(error.code);
    if (!isRefusal) throw error;
    recorder.requestRefused(error.code);
    return;
  }
  recorder.requestArrived(request, arrivalMs);
}

function takeResults({ clock: { nowMs }, scheduler, executor, recorder, sampleTokenId }: EventLoopParts): void {
  scheduler.completeTransfers(executor.takeTransfers(nowMs));
  while (executor.nextResultMs <= nowMs) {
    const output = executor.takeFinished(nowMs);
    recorder.stepProcessed(scheduler.update(output, makeStepResult(output, sampleTokenId)), nowMs);
  }
}

function scheduleSteps({ clock: { nowMs }, scheduler, storage, executor, recorder, observe }: EventLoopParts): void {
  for (;;) {
    storage?.books.settle();
    const output = scheduler.schedule();
    storage?.books.pump();
    observe?.(output);
    if (output === null) return;
    recorder.stepScheduled(output, nowMs);
    executor.submit(output, nowMs);
  }
}

/** A deadline that has passed already is seen with the next step that is scheduled. */
function nextEventMs({ clock, scheduler, storage, executor }: EventLoopParts, arrivals: Arrivals): number {
  const { nextDeadlineMs } = scheduler;
  const deadlineMs = nextDeadlineMs > clock.nowMs ? nextDeadlineMs : Number.POSITIVE_INFINITY;
  const storageMs = storage?.executor.nextResultMs ?? Number.POSITIVE_INFINITY;
  return Math.min(arrivals.nextMs, executor.nextResultMs, executor.nextTransferMs, storageMs, deadlineMs);
}
