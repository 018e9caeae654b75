import { maxBlocksHeld } from "../kv/geometry";
import { KvCacheManager } from "../kv/kv-cache-manager";
import { PrefixHashes } from "../kv/prefix-hashes";
import { assert, CairnError } from "../util/errors";
import { checkCounts, checkRequest } from "./check-request";
import type { Request, RequestFinishReason } from "./request";
import { RequestQueue } from "./request-queue";
import type { RequestUpdate } from "./request-update";
import { RowPool } from "./row-pool";
import {
  checkSchedulerOptions,
  maxChunkTokens,
  maxUnprocessedTokens,
  type SchedulerOptions,
} from "./scheduler-options";
import type { SampledToken, ScheduledRequest, SchedulerOutput, StepResult } from "./scheduler-output";
import type { SchedulerStats } from "./scheduler-stats";
import { type InFlightStep, StepPlan } from "./step-plan";

/**
 * Decides what each step computes. There is no prefill and no decode phase: a step is a number of tokens a request,
 * under one token budget. Requests hold the positions that request.ts draws.
 *
 *     waiting --> running --> finished        running: it has a row, and blocks
 *        ^          |
 *        '----------' preempted: blocks ran short; it computes its tokens again
 *
 * Several steps may be scheduled before the first of them is processed. So a life of a request may end while steps in
 * flight still read and write its blocks: its row then stays taken, blocks and all, until the last of those steps was
 * processed (row-pool.ts), and the request itself goes on without it. What such a step brings is known as late by its row.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #maxChunkTokens: number;
  readonly #maxUnprocessedTokens: number;
  readonly #kvCache: KvCacheManager;
  /** Every request that waits or runs. */
  readonly #requests = new Map<string, Request>();
  readonly #waiting = new RequestQueue();
  readonly #running = new RequestQueue();
  readonly #rows: RowPool;
  readonly #inFlight: InFlightStep[] = [];
  #numArrivals = 0;
  #stats = { numSteps: 0, numScheduledTokens: 0, numCachedTokens: 0, numPreemptions: 0, numRequestsVisited: 0 };

  constructor(options: SchedulerOptions) {
    checkSchedulerOptions(options);
    this.#options = options;
    this.#maxChunkTokens = maxChunkTokens(options);
    this.#maxUnprocessedTokens = maxUnprocessedTokens(options);
    this.#kvCache = new KvCacheManager(options.geometry, options.numBlocks);
    this.#rows = new RowPool(options.maxNumRunning);
  }

  get numWaiting(): number {
    return this.#waiting.length;
  }

  get numRunning(): number {
    return this.#running.length;
  }

  get numInFlightSteps(): number {
    return this.#inFlight.length;
  }

  /** Blocks that hold nothing that a request or a step in flight needs; cached ones are among them. */
  get numFreeBlocks(): number {
    return this.#kvCache.numFreeBlocks;
  }

  get numUsableBlocks(): number {
    return this.#kvCache.numUsableBlocks;
  }

  /** Ids of the free blocks in the order in which they will be handed out. */
  get freeBlockIds(): number[] {
    return this.#kvCache.freeBlockIds;
  }

  get stats(): SchedulerStats {
    return { ...this.#stats, numBlocksVisited: this.#kvCache.numVisitedBlocks };
  }

  /** A request waits or runs, or a step is in flight: there is something to schedule or to process. */
  get hasUnfinished(): boolean {
    return this.#requests.size > 0 || this.#inFlight.length > 0;
  }

  /**
   * Puts a request into the queue. Throws `invalid_request` (empty prompt, maxTokens under 1, id in use),
   * `context_length_exceeded` when the prompt leaves no room for one token, and `cache_too_small` when the request
   * would not fit an empty cache.
   */
  addRequest(request: Request): void {
    const { requestId, cacheSalt } = request;
    const { maxModelLen, geometry, usePrefixCache } = this.#options;
    assert(request.arrivalIndex < 0, () => `request ${requestId} was added before`);
    checkRequest(request, maxModelLen, this.#requests.has(requestId));
    const numFedTokens = request.maxNumFedTokens(maxModelLen);
    const numBlocksNeeded = maxBlocksHeld(geometry, numFedTokens, this.#maxUnprocessedTokens);
    const numBlocks = this.#kvCache.numUsableBlocks;
    if (numBlocksNeeded > numBlocks) {
      const message = `The request needs up to ${numBlocksNeeded} KV blocks; the cache has ${numBlocks}.`;
      throw new CairnError("cache_too_small", message, { numBlocksNeeded, numBlocks });
    }
    if (usePrefixCache && request.usePrefixCache) {
      const tokenIds = (start: number, end: number) => request.tokenIds(start, end);
      request.prefixHashes = new PrefixHashes(geometry.blockSize, { cacheSalt }, tokenIds);
    }
    request.arrivalIndex = this.#numArrivals++;
    this.#requests.set(requestId, request);
    this.#waiting.add(request);
  }

  /** The next step, or null when nothing can be scheduled before a step in flight is processed or a request arrives. */
  schedule(): SchedulerOutput | null {
    if (this.#inFlight.length === this.#options.maxInFlightSteps) return null;
    const plan = new StepPlan(this.#stats.numSteps);
    if (this.#scheduleRunning(plan)) this.#admitWaiting(plan);
    const step = plan.finish();
    if (step === null) return null;
    this.#stats.numSteps += 1;
    this.#stats.numScheduledTokens += plan.numTokens;
    this.#inFlight.push(step);
    return step.output;
  }

  /** Takes in what a step gave back. Every output of `schedule` must come here, once and in order. */
  update(output: SchedulerOutput, result: StepResult): RequestUpdate[] {
    const [step] = this.#inFlight;
    assert(step?.output === output, () => `step ${output.stepIndex} is not the oldest in flight`);
    assert(result.stepIndex === output.stepIndex, () => `step ${output.stepIndex} got result ${result.stepIndex}`);
    this.#inFlight.shift();
    const updates: RequestUpdate[] = [];
    let numSampledSeen = 0;
    output.scheduled.forEach(({ row, numTokens, samples }, i) => {
      const request = step.requests[i];
      this.#stats.numRequestsVisited += 1;
      const sampled = samples ? result.sampled[numSampledSeen++] : null;
      if (request.row !== row) return; // Late: this life of the request has ended.
      request.numInFlightTokens -= numTokens;
      if (sampled) updates.push(this.#takeSampled(request, sampled));
    });
    this.#freeLeavingRows();
    return updates;
  }

  /** Ends a request from outside, as for a stop string. False if it had ended already or was never here. */
  finish(requestId: string, reason: RequestFinishReason): boolean {
    const request = this.#requests.get(requestId);
    if (!request) return false;
    if (request.row === null) this.#waiting.remove(request);
    else this.#vacateRow(request);
    request.status = "finished";
    request.finishReason = reason;
    this.#requests.delete(requestId);
    return true;
  }

  /** Ends a request at any time: while it waits, runs, or has steps in flight, whose output is then dropped. */
  abort(requestId: string): boolean {
    return this.finish(requestId, "abort");
  }

  /** Forgets what is cached. Requests that run keep their blocks; what they compute from now on is cached again. */
  resetPrefixCache(): void {
    this.#kvCache.resetPrefixCache();
  }

  /**
   * Every running request gets its next tokens; false if blocks were short: one goes without, or was preempted. A token
   * is set aside for each that has one left (a decode), prefills share the rest of the budget. Blocks go by the order of
   * the queue, and are taken from its end: so who is preempted was not yet scheduled in this step.
   */
  #scheduleRunning(plan: StepPlan): boolean {
    const { maxNumBatchedTokens } = this.#options;
    let numSetAside = 0;
    for (const request of this.#running) {
      if (this.#numUnscheduledTokens(request) === 1) numSetAside += 1;
      this.#kvCache.freeOutOfWindow(request);
    }
    const { numPreemptions } = this.#stats;
    let isShort = false;
    for (let i = 0; i < this.#running.length; i++) {
      const request = this.#running.at(i);
      this.#stats.numRequestsVisited += 1;
      const numUnscheduled = this.#numUnscheduledTokens(request);
      if (numUnscheduled === 1) numSetAside -= 1;
      const tokenBudget = maxNumBatchedTokens - plan.numTokens - numSetAside;
      const numTokens = Math.min(numUnscheduled, tokenBudget, this.#maxChunkTokens);
      if (numTokens === 0) continue;
      const needsBlocks = this.#kvCache.numNewBlocks(request, numTokens) > 0;
      if (needsBlocks && (isShort || !this.#makeRoom(request, numTokens))) {
        isShort = true; // What is free is left to the first that went without.
        continue;
      }
      this.#scheduleTokens(plan, request, numTokens);
    }
    return !isShort && this.#stats.numPreemptions === numPreemptions;
  }

  /**
   * Frees the blocks that a running request needs at the cost of those behind it and at last of itself. False if it was
   * preempted, or has to wait for blocks that leaving rows hold. Alone it always has room: `addRequest` made sure of it.
   */
  #makeRoom(request: Request, numTokens: number): boolean {
    for (;;) {
      const numMissing = this.#kvCache.numNewBlocks(request, numTokens) - this.#kvCache.numFreeBlocks;
      if (numMissing <= 0) return true;
      if (numMissing <= this.#kvCache.numBlocksHeldByOnly(this.#rows.leaving)) return false;
      const victim = this.#running.last!;
      this.#preempt(victim);
      if (victim === request) return false;
    }
  }

  #preempt(request: Request): void {
    this.#stats.numPreemptions += 1;
    this.#vacateRow(request);
    request.restart();
    this.#waiting.add(request);
  }

  /**
   * Lets requests begin in the order of the queue. One is admitted only if its known tokens fit beside what those that
   * run need up to their next output, and the watermark; free blocks that it hits do not count as free. A head that does
   * not fit keeps the others waiting, else small requests could pass it for ever; when nobody holds a block, it fits.
   */
  #admitWaiting(plan: StepPlan): void {
    if (this.#waiting.length === 0 || this.#rows.numFree === 0) return;
    const { maxNumBatchedTokens, admissionWatermark } = this.#options;
    let numReserved = Math.ceil(admissionWatermark * this.#kvCache.numUsableBlocks);
    for (const request of this.#running) {
      this.#stats.numRequestsVisited += 1;
      numReserved += this.#numBlocksToNextOutput(request, request.numComputedTokens);
    }
    while (plan.numTokens < maxNumBatchedTokens && this.#rows.numFree > 0) {
      const request = this.#waiting.first;
      if (!request) return;
      this.#stats.numRequestsVisited += 1;
      const hit = this.#kvCache.findPrefix(request);
      const numNeeded = this.#numBlocksToNextOutput(request, hit.numTokens);
      const isAlone = this.#running.length === 0 && this.#rows.leaving.length === 0;
      if (!isAlone && numNeeded + hit.numFreeBlocks + numReserved > this.#kvCache.numFreeBlocks) return;

      this.#waiting.remove(request);
      this.#running.add(request);
      request.status = "running";
      request.row = this.#rows.take();
      request.numComputedTokens = hit.numTokens;
      request.numCachedTokens ??= hit.numTokens;
      this.#stats.numCachedTokens += hit.numTokens;
      this.#kvCache.admit(request.row, hit);
      plan.addRow(request);
      const tokenBudget = maxNumBatchedTokens - plan.numTokens;
      const numTokens = Math.min(this.#numUnscheduledTokens(request), tokenBudget, this.#maxChunkTokens);
      this.#scheduleTokens(plan, request, numTokens);
      numReserved += this.#numBlocksToNextOutput(request, request.numComputedTokens);
    }
  }

  #scheduleTokens(plan: StepPlan, request: Request, numTokens: number): void {
    const newBlocks = this.#kvCache.allocateSlots(request, numTokens);
    assert(newBlocks, () => `request ${request.requestId} is scheduled without the blocks for ${numTokens} tokens`);
    plan.add(request, numTokens, newBlocks);
    this.#kvCache.publish(request);
  }

  #takeSampled(request: Request, { requestId, tokenId, finite }: SampledToken): RequestUpdate {
    assert(requestId === request.requestId, () => `sampled id of ${requestId} where ${request.requestId}'s was due`);
    request.numOutputPlaceholders -= 1;
    if (!finite) {
      const position = request.numTokens;
      const message = `The model gave NaN or infinity at position ${position}.`;
      this.#kvCache.evict(request.row!);
      this.finish(requestId, "error");
      const error = new CairnError("numerical", message, { position });
      return { requestId, newTokenIds: [], endsWithEos: false, finishReason: "error", error };
    }
    request.outputTokenIds.push(tokenId);
    this.#kvCache.publish(request);
    const endsWithEos = request.eosTokenIds.includes(tokenId);
    // The last id of a full request is never fed.
    const isFull = request.numTokens > request.maxNumFedTokens(this.#options.maxModelLen);
    const finishReason = endsWithEos ? "stop" : isFull ? "length" : null;
    if (finishReason) this.finish(requestId, finishReason);
    return { requestId, newTokenIds: [tokenId], endsWithEos, finishReason, error: null };
  }

  /** Ends a life of a request. Its blocks are given back at once, or when the last step that names them was processed. */
  #vacateRow(request: Request): void {
    const { row, lastStepIndex } = request;
    assert(row !== null, () => `request ${request.requestId} does not run`);
    this.#running.remove(request);
    request.row = null;
    this.#rows.leave(row, lastStepIndex);
    this.#freeLeavingRows();
  }

  #freeLeavingRows(): void {
    for (const row of this.#rows.freeProcessed(this.#firstUnprocessedStep)) this.#kvCache.free(row);
  }

  /** Tokens that the request could feed next, were there no budget: all that it has, but for the last of a full one. */
  #numUnscheduledTokens(request: Request): number {
    const numTokens = request.numTokens + request.numOutputPlaceholders;
    return Math.min(numTokens, request.maxNumFedTokens(this.#options.maxModelLen)) - request.numComputedTokens;
  }

  /** The most blocks that the request takes yet to compute the tokens that it has, and to feed one more. */
  #numBlocksToNextOutput(request: Request, numDoneTokens: number): number {
    const { geometry, maxModelLen } = this.#options;
    const numTokens = Math.min(Math.max(request.numTokens, numDoneTokens) + 1, request.maxNumFedTokens(maxModelLen));
    return maxBlocksHeld(geometry, numTokens, this.#maxUnprocessedTokens, numDoneTokens);
  }

  get #firstUnprocessedStep(): number {
    return this.#stats.numSteps - this.#inFlight.length;
  }

  /** Throws `internal` unless blocks, rows, queues, counts and states agree. For tests, and for an idle engine. */
  checkIntegrity(): void {
    this.#kvCache.checkIntegrity();
    const running = Array.from(this.#running, ({ row }) => row!);
    this.#rows.checkIntegrity(running);
    const holders = [...running, ...this.#rows.leaving].sort();
    assert(`${holders}` === `${this.#kvCache.rows.sort()}`, () => `rows ${holders} are held, others have block tables`);
    const numQueued = this.#waiting.length + this.#running.length;
    assert(this.#requests.size === numQueued, "a request is in no queue, or in two");
    for (const request of this.#waiting) checkCounts(request, request.numPreemptions ? "preempted" : "waiting", []);
    for (const request of this.#running) checkCounts(request, "running", this.#inFlightEntries(request));
  }

  #inFlightEntries(request: Request): ScheduledRequest[] {
    const entries = this.#inFlight.flatMap(({ output, requests }) =>
      output.scheduled.filter((_, i) => requests[i] === request),
    );
    return entries.filter(({ row }) => row === request.row);
  }
}
