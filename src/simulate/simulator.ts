import type { Request } from "../scheduler/request";
import { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOptions } from "../scheduler/scheduler-options";
import type { SchedulerStats } from "../scheduler/scheduler-stats";
import { assert, CairnError } from "../util/errors";
import { ceilDiv } from "../util/math";
import { exampleGeometry, makeRequest } from "./example-model";
import { ModelledExecutor, makeStepResult } from "./executor";
import type { SimulatorOptions } from "./options";
import { Recorder } from "./recorder";
import { outputTokenId, promptTokenIds, type TraceRequest } from "./trace";

export interface SimulationResult {
  readonly recorder: Recorder;
  readonly stats: SchedulerStats;
  /** Time in which the modelled GPU ran a step. */
  readonly busyMs: number;
  readonly numUsableBlocks: number;
}

/** What a request may be refused for at the door, by its size alone. */
const REFUSALS: ReadonlySet<string> = new Set(["context_length_exceeded", "cache_too_small"]);

/**
 * Replays a trace through the real scheduler and cache on a modelled executor. The clock jumps from event to event: an
 * arrival, or a step's result. Prompts exist from a request's arrival to its end. A request that the scheduler refuses is
 * counted and left out. Throws `internal` if requests are left that can never go on.
 */
export function simulate(trace: readonly TraceRequest[], options: SimulatorOptions): SimulationResult {
  const scheduler = new Scheduler(schedulerOptions(trace, options));
  const executor = new ModelledExecutor(options);
  const recorder = new Recorder(options.blockSize);
  let numArrived = 0;
  const nextArrivalMs = () =>
    numArrived < trace.length ? trace[numArrived].timestampMs * options.timeScale : Number.POSITIVE_INFINITY;

  let nowMs = nextArrivalMs();
  while (nowMs < Number.POSITIVE_INFINITY) {
    while (executor.nextResultMs <= nowMs) {
      const output = executor.takeFinished(nowMs);
      const result = makeStepResult(output, (requestId) => outputTokenId(Number(requestId)));
      recorder.stepProcessed(scheduler.update(output, result), nowMs);
    }
    while (nextArrivalMs() <= nowMs) {
      const traced = trace[numArrived];
      const request = makeRequest(String(numArrived), promptTokenIds(traced), traced.numOutputTokens);
      addRequest(scheduler, recorder, request, nextArrivalMs());
      numArrived += 1;
    }
    for (let output = scheduler.schedule(); output; output = scheduler.schedule()) {
      recorder.stepScheduled(output, nowMs);
      executor.submit(output, nowMs);
    }
    recorder.blocksInUse(scheduler.numUsableBlocks - scheduler.numFreeBlocks, nowMs);
    nowMs = Math.min(nextArrivalMs(), executor.nextResultMs);
  }
  const { numWaiting, numRunning, stats, numUsableBlocks } = scheduler;
  assert(!scheduler.hasUnfinished, () => `the simulation is stuck: ${numWaiting} requests wait, ${numRunning} run`);
  scheduler.checkIntegrity();
  return { recorder, stats, busyMs: executor.busyMs, numUsableBlocks };
}

function addRequest(scheduler: Scheduler, recorder: Recorder, request: Request, arrivalMs: number): void {
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

/** An unlimited pool holds every block of every request at once, and needs no watermark. */
function schedulerOptions(trace: readonly TraceRequest[], options: SimulatorOptions): SchedulerOptions {
  const geometry = exampleGeometry(options.blockSize);
  if (options.numBlocks !== null) return { ...options, geometry, numBlocks: options.numBlocks };
  const numBlocks = trace.reduce(
    (sum, { numPromptTokens, numOutputTokens }) => sum + ceilDiv(numPromptTokens + numOutputTokens, options.blockSize),
    1,
  );
  return { ...options, geometry, numBlocks, admissionWatermark: 0 };
}
