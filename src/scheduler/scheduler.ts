import { maxBlocksHeld } from "../kv/geometry";
import { PrefixHashes } from "../kv/prefix-hashes";
import type { Connector, LoadProgress, LowerTier } from "../offload/connector";
import type { TransferResult } from "../offload/transfer-job";
import { assert, CairnError } from "../util/errors";
import { admitWaiting } from "./admission-pass";
import { checkRequest } from "./check-request";
import { scheduleLoading } from "./loading-pass";
import type { Request, RequestFinishReason } from "./request";
import type { RequestUpdate } from "./request-update";
import { scheduleRunning } from "./running-pass";
import { checkSchedulerOptions, type SchedulerOptions } from "./scheduler-options";
import type { SampledToken, SchedulerOutput, StepResult } from "./scheduler-output";
import { SchedulerState } from "./scheduler-state";
import type { SchedulerStats } from "./scheduler-stats";
import { StepPlan } from "./step-plan";

const LOWER_TIERS: readonly LowerTier[] = ["host", "storage"];

/**
 * Decides what each step computes and copies. There is no prefill and no decode phase: a step is a number of tokens a request,
 * under one token budget. Requests hold the positions that request.ts draws.
 *
 *     waiting -------------> running --> finished     running: it has a row, and blocks
 *      ^  ^ '--> loading ----^  |                     loading: so too, and other tiers' KV is copied to its blocks
 *      |  '--------' revoked    |
 *      '------------------------' preempted           both: blocks ran short; it begins again, with what is left in the caches
 *
 * Several steps may be scheduled before the first of them is processed. So a life of a request may end while steps in
 * flight still read and write its blocks: its row then stays taken, blocks and all, until the last of those steps was
 * processed (row-pool.ts), and the request itself goes on without it. What such a step brings is known as late by its row.
 *
 * A step is put together in this order: chunks that exist are offered for storing, before a block is given back; running
 * requests get their tokens; loads that have arrived run, the others copy on; the queue's head begins, or loads.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #state: SchedulerState;
  #numArrivals = 0;

  constructor(options: SchedulerOptions, connectors: readonly Connector[] = []) {
    checkSchedulerOptions(options);
    this.#options = options;
    this.#state = new SchedulerState(options, connectors);
  }

  get numWaiting(): number {
    return this.#state.waiting.length;
  }

  get numRunning(): number {
    return this.#state.running.length;
  }

  get numLoading(): number {
    return this.#state.loading.length;
  }

  /** Of the waiting requests, those that wait for a tier, or are held. */
  get numDeferred(): number {
    return this.#state.waiting.numDeferred;
  }

  /** When a wait for a tier ends by itself, on the connectors' clock; Infinity without one. */
  get nextDeadlineMs(): number {
    return this.#state.connectors.nextDeadlineMs;
  }

  get numInFlightSteps(): number {
    return this.#state.inFlight.length;
  }

  /** Blocks that hold nothing that a request or a step in flight needs; cached ones are among them. */
  get numFreeBlocks(): number {
    return this.#state.kvCache.numFreeBlocks;
  }

  /** Blocks that nothing but stores under way holds. */
  get numBlocksOnlyLeased(): number {
    return this.#state.kvCache.numBlocksOnlyLeased;
  }

  get numUsableBlocks(): number {
    return this.#state.kvCache.numUsableBlocks;
  }

  /** Blocks that a request can hit. */
  get numCachedBlocks(): number {
    return this.#state.kvCache.numCachedBlocks;
  }

  /** Ids of the free blocks in the order in which they will be handed out. */
  get freeBlockIds(): number[] {
    return this.#state.kvCache.freeBlockIds;
  }

  get stats(): SchedulerStats {
    return { ...this.#state.stats, numBlocksVisited: this.#state.kvCache.numVisitedBlocks };
  }

  /** A request is here, a step is in flight, or KV is under way: there is something to schedule, or to wait for. */
  get hasUnfinished(): boolean {
    return this.#state.hasUnfinished;
  }

  /**
   * Puts a request into the queue. Throws `invalid_request` (empty prompt, maxTokens under 1, id in use),
   * `context_length_exceeded` when the prompt leaves no room for one token, and `cache_too_small` when the request
   * would not fit an empty cache.
   */
  addRequest(request: Request): void {
    const { requestId, cacheSalt } = request;
    const { maxModelLen, geometry, usePrefixCache, lossyEncoding } = this.#options;
    assert(request.arrivalIndex < 0, () => `request ${requestId} was added before`);
    checkRequest(request, maxModelLen, this.#state.requests.has(requestId));
    const numFedTokens = request.maxNumFedTokens(maxModelLen);
    const numBlocksNeeded = maxBlocksHeld(geometry, numFedTokens, this.#state.maxUnprocessedTokens);
    const numBlocks = this.#state.kvCache.numUsableBlocks;
    if (numBlocksNeeded > numBlocks) {
      const message = `The request needs up to ${numBlocksNeeded} KV blocks; the cache has ${numBlocks}.`;
      throw new CairnError("cache_too_small", message, { numBlocksNeeded, numBlocks });
    }
    if (usePrefixCache && request.usePrefixCache) {
      const tokenIds = (start: number, end: number) => request.tokenIds(start, end);
      request.prefixHashes = new PrefixHashes(geometry.blockSize, { cacheSalt, lossyEncoding }, tokenIds);
    }
    request.arrivalIndex = this.#numArrivals++;
    this.#state.requests.set(requestId, request);
    this.#state.waiting.add(request);
    this.#state.connectors.requestAdded(request);
  }

  /** The next step, or null when nothing can be scheduled before a step or a job ends, a deadline passes, or a request arrives. */
  schedule(): SchedulerOutput | null {
    this.#wake();
    for (const progress of this.#state.connectors.failOverdue()) this.#followLoad(progress);
    if (this.#state.inFlight.length === this.#options.maxInFlightSteps) return null;
    const plan = new StepPlan(this.#state.stats.numSteps);
    this.#state.connectors.beginStep();
    for (const request of this.#state.running) this.#state.connectors.offer("compute", request);
    const hasBlocks = scheduleRunning(this.#state, plan);
    scheduleLoading(this.#state, plan, hasBlocks);
    // Who waited for a load that was revoked just now is asked in this step.
    this.#wake();
    if (hasBlocks) admitWaiting(this.#state, plan);
    const step = plan.finish(this.#state.connectors.takeTransfers());
    if (step === null) return null;
    this.#state.connectors.stepScheduled(this.#state.stats.numSteps, plan.numTokens);
    this.#state.stats.numSteps += 1;
    this.#state.stats.numScheduledTokens += plan.numTokens;
    this.#state.inFlight.push(step);
    return step.output;
  }

  #wake(): void {
    this.#state.stats.numRequestsVisited += this.#state.waiting.wake(this.#state.connectors.takeWoken());
  }

  /** Takes in what a step gave back. Every output of `schedule` must come here, once and in order. */
  update(output: SchedulerOutput, result: StepResult): RequestUpdate[] {
    const [step] = this.#state.inFlight;
    assert(step?.output === output, () => `step ${output.stepIndex} is not the oldest in flight`);
    assert(result.stepIndex === output.stepIndex, () => `step ${output.stepIndex} got result ${result.stepIndex}`);
    this.#state.inFlight.shift();
    this.#state.connectors.stepProcessed(output.stepIndex);
    const updates: RequestUpdate[] = [];
    let numSampledSeen = 0;
    output.scheduled.forEach(({ row, numTokens, samples }, i) => {
      const request = step.requests[i];
      this.#state.stats.numRequestsVisited += 1;
      const sampled = samples ? result.sampled[numSampledSeen++] : null;
      if (request.row !== row) return; // Late: this life of the request has ended.
      request.numInFlightTokens -= numTokens;
      if (sampled) updates.push(this.#takeSampled(request, sampled));
    });
    this.#state.freeLeavingRows();
    return updates;
  }

  /** Takes in what became of copies. A result for a request that wants it no more, or for a job of before, changes nothing. */
  completeTransfers(results: readonly TransferResult[]): void {
    for (const result of results) {
      const progress = this.#state.connectors.complete(result);
      if (progress) this.#followLoad(progress);
    }
  }

  #followLoad({ requestId, arrived, state }: LoadProgress): void {
    const request = this.#state.requests.get(requestId);
    const load = request && this.#state.loads.get(request);
    assert(load, () => `${requestId} does not load, but its load has come`);
    this.#state.stats.numRequestsVisited += 1;
    this.#state.kvCache.publishLoaded(request, arrived);
    if (state === "failed") this.#state.unload(request);
    if (state !== "done") return;
    load.hasArrived = true;
    if (request.isPrefetch) this.#state.endPrefetch(request, load);
  }

  /** Prefetches that ended by themselves since the last call; their counts of cached tokens say what they found. */
  takePrefetched(): readonly Request[] {
    const prefetched = this.#state.prefetched;
    this.#state.prefetched = [];
    return prefetched;
  }

  /** What a constrained request may sample next is known: it can be scheduled again. No effect on one that is not here. */
  release(requestId: string): void {
    const request = this.#state.requests.get(requestId);
    if (!request) return;
    assert(request.isHeld && request.numOutputPlaceholders === 0, "a release without an id");
    request.isHeld = false;
    this.#state.waiting.wake([requestId]);
  }

  /** Ends a request from outside, as for a stop string. False if it had ended already or was never here. */
  finish(requestId: string, reason: RequestFinishReason): boolean {
    return this.#state.finish(requestId, reason);
  }

  /** Ends a request at any time: while it waits, runs, or has steps in flight, whose output is then dropped. */
  abort(requestId: string): boolean {
    return this.finish(requestId, "abort");
  }

  /** Forgets what is cached on the GPU. Requests that run keep their blocks; what they compute from now on is cached again. */
  resetPrefixCache(): void {
    this.#state.kvCache.resetPrefixCache();
  }

  /** Forgets what these tiers have. Loads under way go on. */
  clearTiers(tiers: readonly LowerTier[] = LOWER_TIERS): void {
    this.#state.connectors.clear(tiers);
  }

  /**
   * The GPU device is gone, and all that was on it. Steps and jobs in flight bring nothing any more; requests begin again, with
   * what the tiers below have. The rows and block ids that come from now on are those of another device.
   */
  beginEpoch(): void {
    this.#state.beginEpoch();
  }

  #takeSampled(request: Request, { requestId, tokenId, finite, logprobs }: SampledToken): RequestUpdate {
    assert(requestId === request.requestId, () => `sampled id of ${requestId} where ${request.requestId}'s was due`);
    request.numOutputPlaceholders -= 1;
    if (!finite) {
      const position = request.numTokens;
      const message = `The model gave NaN or infinity at position ${position}.`;
      this.#state.kvCache.evict(request.row!);
      this.#state.connectors.discard(request);
      this.finish(requestId, "error");
      const error = new CairnError("numerical", message, { position });
      return { requestId, newTokenIds: [], newLogprobs: [], endsWithEos: false, finishReason: "error", error };
    }
    request.outputTokenIds.push(tokenId);
    this.#state.kvCache.publish(request);
    const endsWithEos = request.eosTokenIds.includes(tokenId);
    // The last id of a full request is never fed.
    const isFull = request.numTokens > request.maxNumFedTokens(this.#options.maxModelLen);
    const finishReason = endsWithEos ? "stop" : isFull ? "length" : null;
    if (finishReason) this.finish(requestId, finishReason);
    const newLogprobs = logprobs ? [logprobs] : [];
    return { requestId, newTokenIds: [tokenId], newLogprobs, endsWithEos, finishReason, error: null };
  }

  /** Throws `internal` unless blocks, rows, queues, counts and states agree. For tests, and for an idle engine. */
  checkIntegrity(): void {
    this.#state.checkIntegrity();
  }
}
