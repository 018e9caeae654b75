import { maxBlocksHeld } from "../kv/geometry";
import { KvCacheManager } from "../kv/kv-cache-manager";
import type { Connector } from "../offload/connector";
import { assert } from "../util/errors";
import { checkCounts } from "./check-request";
import { ConnectorSet } from "./connector-set";
import type { Request, RequestFinishReason } from "./request";
import { RequestQueue } from "./request-queue";
import { RowPool } from "./row-pool";
import { maxChunkTokens, maxUnprocessedTokens, numRows, type SchedulerOptions } from "./scheduler-options";
import type { ScheduledRequest } from "./scheduler-output";
import type { InFlightStep, StepPlan } from "./step-plan";
import { WaitingRoom } from "./waiting-room";

/** What a request has when it begins, by where it came from. */
export interface FoundTokens {
  readonly numTokens: number;
  /** Those of them for which something is loaded, in whatever group. */
  readonly numExternalTokens: number;
  /** Those of these for which something was brought out of storage. */
  readonly numStorageTokens: number;
}

/** What a request that loads will have when all of it has arrived. */
export interface PendingLoad extends FoundTokens {
  hasArrived: boolean;
}

export function foundOnGpu(numTokens: number): FoundTokens {
  return { numTokens, numExternalTokens: 0, numStorageTokens: 0 };
}

/**
 * What a scheduler keeps, and how a request goes from one state to another. Only the scheduler and the passes that make up
 * its `schedule` touch it.
 */
export class SchedulerState {
  readonly options: SchedulerOptions;
  readonly maxChunkTokens: number;
  readonly maxUnprocessedTokens: number;
  readonly connectors: ConnectorSet;
  kvCache: KvCacheManager;
  rows: RowPool;
  /** Every request that waits, loads or runs. */
  readonly requests = new Map<string, Request>();
  readonly waiting = new WaitingRoom();
  readonly loading = new RequestQueue();
  readonly loads = new Map<Request, PendingLoad>();
  readonly running = new RequestQueue();
  /** Steps that were scheduled and not processed, oldest first. */
  inFlight: InFlightStep[] = [];
  /** Prefetches that ended by themselves, until somebody takes them. */
  prefetched: Request[] = [];
  readonly stats = {
    numSteps: 0,
    numScheduledTokens: 0,
    numCachedTokens: 0,
    numExternalTokens: 0,
    numStorageTokens: 0,
    numPreemptions: 0,
    numRevocations: 0,
    numRequestsVisited: 0,
  };

  constructor(options: SchedulerOptions, connectors: readonly Connector[]) {
    this.options = options;
    this.maxChunkTokens = maxChunkTokens(options);
    this.maxUnprocessedTokens = maxUnprocessedTokens(options);
    this.kvCache = new KvCacheManager(options.geometry, options.numBlocks);
    this.rows = new RowPool(numRows(options));
    this.connectors = new ConnectorSet(connectors, () => this.kvCache);
  }

  /** A request is here, a step is in flight, or KV is under way. */
  get hasUnfinished(): boolean {
    return this.requests.size > 0 || this.inFlight.length > 0 || this.connectors.hasWork;
  }

  /** The request has a row whose tables begin with these tokens' blocks. */
  beginRunning(request: Request, found: FoundTokens): void {
    this.running.add(request);
    request.status = "running";
    request.numComputedTokens = found.numTokens;
    if (request.numCachedTokens === null) request.takeFound(found);
    this.stats.numCachedTokens += found.numTokens;
    this.stats.numExternalTokens += found.numExternalTokens;
    this.stats.numStorageTokens += found.numStorageTokens;
  }

  endPrefetch(request: Request, found: FoundTokens): void {
    request.takeFound(found);
    this.finish(request.requestId, "stop");
    this.prefetched.push(request);
  }

  scheduleTokens(plan: StepPlan, request: Request, numTokens: number): void {
    if (request.lastStepIndex < 0) plan.addRow(request);
    const evicted = this.kvCache.nextEvicted(this.kvCache.numNewBlocks(request, numTokens));
    const newBlocks = this.kvCache.allocateSlots(request, numTokens);
    this.connectors.offerEvicted(evicted);
    assert(newBlocks, () => `no blocks for ${numTokens} tokens of ${request.requestId}`);
    plan.add(request, numTokens, newBlocks);
    this.kvCache.publish(request);
  }

  preempt(request: Request): void {
    this.stats.numPreemptions += 1;
    this.connectors.offer("preempt", request);
    this.vacateRow(request);
    request.restart();
    this.waiting.add(request);
  }

  /** Gives up a load for the sake of others. What has arrived stays in the prefix cache. */
  revoke(request: Request): void {
    this.stats.numRevocations += 1;
    request.numRevocations += 1;
    this.unload(request);
    request.numFreeBlocksAtRevocation = this.kvCache.numFreeBlocks;
  }

  /** Ends a load; its request waits again. */
  unload(request: Request): void {
    this.connectors.endLoad(request);
    this.vacateRow(request);
    this.#putBack(request);
  }

  #putBack(request: Request): void {
    this.running.discard(request);
    this.loading.discard(request);
    this.loads.delete(request);
    request.row = null;
    request.status = request.numPreemptions > 0 ? "preempted" : "waiting";
    this.waiting.add(request);
  }

  /** Ends a request in whatever state; false if it is not here. */
  finish(requestId: string, reason: RequestFinishReason): boolean {
    const request = this.requests.get(requestId);
    if (!request) return false;
    if (request.status === "running") {
      if (reason !== "error") this.connectors.offer("finish", request);
      this.vacateRow(request);
    } else if (request.status === "loading") {
      this.connectors.endLoad(request);
      this.vacateRow(request);
    } else {
      this.waiting.remove(request);
    }
    request.status = "finished";
    request.finishReason = reason;
    this.requests.delete(requestId);
    this.connectors.requestFinished(requestId);
    return true;
  }

  /** All that was on the GPU is gone: requests begin again, steps in flight and jobs bring nothing any more. */
  beginEpoch(): void {
    const { geometry, numBlocks } = this.options;
    for (const request of [...this.running, ...this.loading]) {
      if (request.status === "running") {
        this.stats.numPreemptions += 1;
        request.restart();
      }
      this.#putBack(request);
    }
    this.inFlight = [];
    this.rows = new RowPool(numRows(this.options));
    this.kvCache = new KvCacheManager(geometry, numBlocks);
    this.connectors.beginEpoch();
  }

  /** Ends a life of a request. Its blocks are given back at once, or when the last step that names them was processed. */
  vacateRow(request: Request): void {
    const { row, lastStepIndex } = request;
    assert(row !== null, () => `request ${request.requestId} has no row`);
    this.running.discard(request);
    this.loading.discard(request);
    this.loads.delete(request);
    request.row = null;
    this.rows.leave(row, lastStepIndex);
    this.freeLeavingRows();
  }

  freeLeavingRows(): void {
    for (const row of this.rows.freeProcessed(this.firstUnprocessedStep)) this.kvCache.free(row);
  }

  /** Tokens that the request could feed next, were there no budget: all that it has, but for the last of a full one; none while it is held. */
  numUnscheduledTokens(request: Request): number {
    if (request.isHeld) return 0;
    const numTokens = request.numTokens + request.numOutputPlaceholders;
    return Math.min(numTokens, request.maxNumFedTokens(this.options.maxModelLen)) - request.numComputedTokens;
  }

  /** The most blocks that the request takes yet to compute the tokens that it has, and to feed one more. */
  numBlocksToNextOutput(request: Request, numDoneTokens: number): number {
    if (request.isPrefetch) return 0;
    const { geometry, maxModelLen } = this.options;
    const numTokens = Math.min(Math.max(request.numTokens, numDoneTokens) + 1, request.maxNumFedTokens(maxModelLen));
    return maxBlocksHeld(geometry, numTokens, this.maxUnprocessedTokens, numDoneTokens);
  }

  get firstUnprocessedStep(): number {
    return this.stats.numSteps - this.inFlight.length;
  }

  /** Throws `internal` unless blocks, rows, queues, counts and states agree. For tests, and for an idle engine. */
  checkIntegrity(): void {
    this.kvCache.checkIntegrity();
    this.connectors.checkIntegrity(!this.hasUnfinished);
    const withRow = Array.from([...this.running, ...this.loading], ({ row }) => row!);
    this.rows.checkIntegrity(withRow);
    const holders = [...withRow, ...this.rows.leaving].sort();
    assert(
      `${holders}` === `${this.kvCache.rows.sort()}`,
      () => `rows ${holders} are held, not those with block tables`,
    );
    const numQueued = this.waiting.length + this.loading.length + this.running.length;
    assert(this.requests.size === numQueued, "a request is in no queue, or in two");
    assert(this.loads.size === this.loading.length, "a load is nobody's");
    for (const request of this.waiting) checkCounts(request, request.numPreemptions ? "preempted" : "waiting", []);
    for (const request of this.loading) checkCounts(request, "loading", []);
    for (const request of this.running) checkCounts(request, "running", this.#inFlightEntries(request));
    assert(this.hasUnfinished || this.kvCache.leases.size === 0, "idle, but leases hold blocks");
  }

  #inFlightEntries(request: Request): ScheduledRequest[] {
    const entries = this.inFlight.flatMap(({ output, requests }) =>
      output.scheduled.filter((_, i) => requests[i] === request),
    );
    return entries.filter(({ row }) => row === request.row);
  }
}
