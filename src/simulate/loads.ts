import { kvKey } from "../kv/chunk";
import type { OffloadManager } from "../offload/offload-manager";
import type { Request } from "../scheduler/request";
import { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { CairnError } from "../util/errors";
import { ceilDiv } from "../util/math";
import { addRequest, NO_ARRIVALS, runEvents, VirtualClock } from "./event-loop";
import { exampleGeometry, makeRequest } from "./example-model";
import { ModelledExecutor } from "./executor";
import { makeHostTier } from "./host-tier";
import { DEFAULT_OPTIONS, type SimulatorOptions } from "./options";
import { Recorder } from "./recorder";

/** Requests that all wait at the beginning, each with a prefix that only the host tier has. */
export interface LoadsCase {
  readonly loadAdmission: SimulatorOptions["loadAdmission"];
  readonly numWaiting: number;
  /** "half shared": every other request has the prefix of nine others near it in the queue. */
  readonly prefixes: "distinct" | "half shared";
  /** Whole requests that the pool has room for. */
  readonly poolRequests: number;
}

/** How it went. Times are those of the virtual clock, in milliseconds. */
export interface LoadsRow extends LoadsCase {
  readonly numFinished: number;
  /** Requests are left that can never go on. */
  readonly isStuck: boolean;
  readonly numLoads: number;
  readonly numRevocations: number;
  readonly numPreemptions: number;
  /** Those that happened while a request that was admitted as a load had not run. */
  readonly numPreemptionsBesideLoads: number;
  readonly peakLoading: number;
  readonly peakRunningAndLoading: number;
  /** Over all steps. */
  readonly meanRunningAndLoading: number;
  readonly requestsVisitedPerStep: number;
  readonly timeToFirstTokenP50Ms: number | null;
  readonly timeToFirstTokenP99Ms: number | null;
  readonly durationMs: number;
}

export const BLOCK_SIZE = 16;
export const MAX_NUM_RUNNING = 20;
export const PREFIX_BLOCKS = 4;
/** Behind the prefix, a request's own. */
export const TAIL_TOKENS = 40;
/** Enough for a block more than the first of them needs. */
export const MAX_TOKENS = 12;
/** Of a request at its end, whose last id is never fed. */
export const BLOCKS_PER_REQUEST = PREFIX_BLOCKS + ceilDiv(TAIL_TOKENS + MAX_TOKENS - 1, BLOCK_SIZE);
const SHARERS = 10;
/** Of 4 blocks to RAM and 4 from it: about one load a step, so that some always are under way. */
const MAX_TRANSFER_BYTES_PER_STEP = 8 * exampleGeometry(BLOCK_SIZE).pageBytes;

const ADMISSIONS = ["unbounded", "counted", "reserved"] as const;

/** 100 and 10,000 wait; the pool has room for all that may run at once, or for half of them. */
export const LOADS_CASES: readonly LoadsCase[] = [MAX_NUM_RUNNING, MAX_NUM_RUNNING / 2].flatMap((poolRequests) =>
  (["distinct", "half shared"] as const).flatMap((prefixes) =>
    [100, 10_000].flatMap((numWaiting) =>
      ADMISSIONS.map((loadAdmission) => ({ loadAdmission, numWaiting, prefixes, poolRequests })),
    ),
  ),
);

/** Sees the scheduler after each call of `schedule`. */
export type LoadsObserver = (
  scheduler: Scheduler,
  requests: readonly Request[],
  output: SchedulerOutput | null,
) => void;

/** Lets the requests of a case run to their end, or until nothing moves any more. */
export function measureLoads(loadsCase: LoadsCase, observe: LoadsObserver = () => {}): LoadsRow {
  const { parts, manager } = makeParts(loadsCase);
  const { scheduler, connector, recorder } = parts;
  const requests = makeRequests(loadsCase);
  for (const request of requests) {
    addRequest(parts, request, 0);
    fillTier(manager, request);
  }
  const counts = new Counts(scheduler);
  const observeBoth = (output: SchedulerOutput | null) => {
    counts.take(output);
    observe(scheduler, requests, output);
  };
  runEvents({ ...parts, observe: observeBoth }, NO_ARRIVALS);
  const isStuck = scheduler.hasUnfinished;
  if (!isStuck) scheduler.checkIntegrity();
  const { numRevocations, numPreemptions, numRequestsVisited, numSteps } = scheduler.stats;
  const timeToFirstTokenMs = recorder.timeToFirstTokenMs.percentiles();
  return {
    ...loadsCase,
    numFinished: recorder.numFinished,
    isStuck,
    numLoads: connector.stats.numLoads,
    ...{ numRevocations, numPreemptions },
    ...counts.result,
    requestsVisitedPerStep: numRequestsVisited / numSteps,
    timeToFirstTokenP50Ms: timeToFirstTokenMs?.p50 ?? null,
    timeToFirstTokenP99Ms: timeToFirstTokenMs?.p99 ?? null,
    durationMs: recorder.durationMs,
  };
}

function makeParts({ loadAdmission, numWaiting, poolRequests }: LoadsCase) {
  const geometry = exampleGeometry(BLOCK_SIZE);
  const numBlocks = 1 + poolRequests * BLOCKS_PER_REQUEST;
  const options = {
    ...DEFAULT_OPTIONS,
    ...{ geometry, numBlocks, maxNumRunning: MAX_NUM_RUNNING, loadAdmission },
    maxTransferBytesPerStep: MAX_TRANSFER_BYTES_PER_STEP,
  };
  const clock = new VirtualClock();
  // Nothing is evicted: all prefixes fit, and all that the requests compute themselves.
  const hostBytes = numWaiting * BLOCKS_PER_REQUEST * geometry.pageBytes;
  const { connector, manager } = makeHostTier(options, geometry, numBlocks, hostBytes, clock.now);
  const scheduler = new Scheduler({ ...options, admissionWatermark: 0 }, [connector]);
  const executor = new ModelledExecutor(options, geometry.pageBytes);
  const recorder = new Recorder(BLOCK_SIZE);
  const parts = { clock, scheduler, connector, storage: null, executor, recorder, sampleTokenId: () => 0 };
  return { parts, manager };
}

/** A row for a reader. */
export function describeLoads(row: LoadsRow) {
  return {
    waiting: row.numWaiting,
    prefixes: row.prefixes,
    "pool for": row.poolRequests,
    admission: row.loadAdmission,
    finished: row.isStuck ? `stuck at ${row.numFinished}` : row.numFinished,
    loads: row.numLoads,
    revoked: row.numRevocations,
    preempted: row.numPreemptions,
    "beside loads": row.numPreemptionsBesideLoads,
    "peak loading": row.peakLoading,
    "peak + running": row.peakRunningAndLoading,
    "mean + running": Number(row.meanRunningAndLoading.toFixed(1)),
    "visited a step": Number(row.requestsVisitedPerStep.toFixed(1)),
    "TTFT p50, s": seconds(row.timeToFirstTokenP50Ms),
    "TTFT p99, s": seconds(row.timeToFirstTokenP99Ms),
    "all, s": seconds(row.durationMs),
  };
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : Number((ms / 1000).toFixed(1));
}

/** Follows the scheduler over calls of `schedule`. */
class Counts {
  readonly #scheduler: Scheduler;
  #numPreemptions = 0;
  #numBesideLoads = 0;
  #peakLoading = 0;
  #peakActive = 0;
  #sumActive = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  take(output: SchedulerOutput | null): void {
    const { numLoading, numRunning, stats } = this.#scheduler;
    if (numLoading > 0) this.#numBesideLoads += stats.numPreemptions - this.#numPreemptions;
    this.#numPreemptions = stats.numPreemptions;
    this.#peakLoading = Math.max(this.#peakLoading, numLoading);
    this.#peakActive = Math.max(this.#peakActive, numLoading + numRunning);
    if (output !== null) this.#sumActive += numLoading + numRunning;
  }

  get result() {
    return {
      numPreemptionsBesideLoads: this.#numBesideLoads,
      peakLoading: this.#peakLoading,
      peakRunningAndLoading: this.#peakActive,
      meanRunningAndLoading: this.#sumActive / this.#scheduler.stats.numSteps,
    };
  }
}

/** Prompts of a prefix and a tail, of ids that no other prefix or tail has. */
function makeRequests({ numWaiting, prefixes }: LoadsCase): Request[] {
  return Array.from({ length: numWaiting }, (_, i) => {
    const isShared = prefixes === "half shared" && i % 2 === 1;
    const prefixId = isShared ? numWaiting + Math.floor(i / (2 * SHARERS)) : i;
    const prefix = new Array<number>(PREFIX_BLOCKS * BLOCK_SIZE).fill(prefixId);
    return makeRequest(String(i), [...prefix, ...new Array<number>(TAIL_TOKENS).fill(i)], MAX_TOKENS);
  });
}

/** The request's prefix is in the tier from now on, as if another request had stored it. */
function fillTier(manager: OffloadManager, { prefixHashes }: Request): void {
  if (prefixHashes === null) throw new CairnError("internal", "a request that was not added has no hashes");
  const keys = Array.from({ length: PREFIX_BLOCKS }, (_, block) => kvKey(0, prefixHashes.at(block)));
  for (const { slotId } of manager.prepareStore(keys).accepted) manager.completeStore(slotId, true);
}
