import type { OffloadStats } from "../offload/offload-stats";
import type { Request } from "../scheduler/request";
import { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOptions } from "../scheduler/scheduler-options";
import type { SchedulerStats } from "../scheduler/scheduler-stats";
import { assert } from "../util/errors";
import { ceilDiv } from "../util/math";
import { type Arrivals, runEvents, VirtualClock } from "./event-loop";
import { exampleGeometry, makeRequest } from "./example-model";
import { ModelledExecutor } from "./executor";
import { makeHostTier } from "./host-tier";
import type { SimulatorOptions } from "./options";
import { Recorder } from "./recorder";
import { outputTokenId, promptTokenIds, type TraceRequest } from "./trace";

export interface SimulationResult {
  readonly recorder: Recorder;
  readonly stats: SchedulerStats;
  /** Null where nothing is offloaded. */
  readonly offload: OffloadStats | null;
  /** Time in which the modelled GPU ran a step or copied, and that of the copies. */
  readonly busyMs: number;
  readonly copyMs: number;
  readonly numUsableBlocks: number;
}

/**
 * Replays a trace through the real scheduler and caches on a modelled executor. Prompts exist from a request's arrival to
 * its end. A request that the scheduler refuses is counted and left out. Throws `internal` if requests are left that can
 * never go on, and `invalid_request` for a tier that holds nothing.
 */
export function simulate(trace: readonly TraceRequest[], options: SimulatorOptions): SimulationResult {
  const clock = new VirtualClock();
  const schedulerOptions = makeSchedulerOptions(trace, options);
  const { geometry, numBlocks } = schedulerOptions;
  const { hostBytes, usePrefixCache } = options;
  const hasTier = hostBytes !== null && usePrefixCache;
  const tier = hasTier ? makeHostTier(options, geometry, numBlocks, hostBytes, clock.now) : null;
  const { connector = null, storage = null } = tier ?? {};
  const scheduler = new Scheduler(schedulerOptions, connector ? [connector] : []);
  const executor = new ModelledExecutor(options, geometry.pageBytes);
  const recorder = new Recorder(options.blockSize);
  const sampleTokenId = (requestId: string) => outputTokenId(Number(requestId));
  runEvents(
    { clock, scheduler, connector, storage, executor, recorder, sampleTokenId },
    new TraceArrivals(trace, options),
  );
  assert(!scheduler.hasUnfinished, () => `the simulation is stuck: ${describeLeft(scheduler)}`);
  scheduler.checkIntegrity();
  const { stats, numUsableBlocks } = scheduler;
  const { busyMs, copyMs } = executor;
  return { recorder, stats, offload: connector?.stats ?? null, busyMs, copyMs, numUsableBlocks };
}

/** Request `i` of a trace is called `i`. */
class TraceArrivals implements Arrivals {
  readonly #trace: readonly TraceRequest[];
  readonly #timeScale: number;
  #numArrived = 0;

  constructor(trace: readonly TraceRequest[], { timeScale }: SimulatorOptions) {
    this.#trace = trace;
    this.#timeScale = timeScale;
  }

  get nextMs(): number {
    if (this.#numArrived === this.#trace.length) return Number.POSITIVE_INFINITY;
    return this.#trace[this.#numArrived].timestampMs * this.#timeScale;
  }

  take(): Request {
    const requestId = String(this.#numArrived);
    const traced = this.#trace[this.#numArrived++];
    return makeRequest(requestId, promptTokenIds(traced), traced.numOutputTokens);
  }
}

/** What is left of a scheduler that gets no further. */
export function describeLeft({ numWaiting, numDeferred, numLoading, numRunning }: Scheduler): string {
  return `${numWaiting} requests wait (${numDeferred} for a tier), ${numLoading} load, ${numRunning} run`;
}

/** An unlimited pool holds every block of every request at once, and needs no watermark. */
function makeSchedulerOptions(trace: readonly TraceRequest[], options: SimulatorOptions): SchedulerOptions {
  const geometry = exampleGeometry(options.blockSize, options.pageBytes);
  if (options.numBlocks !== null) return { ...options, geometry, numBlocks: options.numBlocks };
  const numBlocks = trace.reduce(
    (sum, { numPromptTokens, numOutputTokens }) => sum + ceilDiv(numPromptTokens + numOutputTokens, options.blockSize),
    1,
  );
  return { ...options, geometry, numBlocks, admissionWatermark: 0 };
}
