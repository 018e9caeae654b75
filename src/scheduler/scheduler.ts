import { KvCacheManager } from "../kv/kv-cache-manager";
import { assert, CairnError } from "../util/errors";
import type { Request, RequestFinishReason } from "./request";
import type { RequestUpdate } from "./request-update";
import { checkSchedulerOptions, type SchedulerOptions } from "./scheduler-options";
import type { NewRow, SampledToken, ScheduledRequest, SchedulerOutput, StepResult } from "./scheduler-output";

/**
 * Decides what each step computes. There is no prefill and no decode phase: a step is a number of tokens a request,
 * under one token budget. Order: running requests that decode, running requests with prompt left, then the queue.
 *
 * The life of a request: waiting -> running (it has a row, and blocks) -> finished. A request that ends while its step
 * is in flight keeps row and blocks until `update` processed that step, because the step still reads and writes them.
 * At most one step a request is in flight, however many steps the engine keeps in flight.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #kvCache: KvCacheManager;
  /** Every request that waits or holds a row. */
  readonly #requests = new Map<string, Request>();
  /** In the order of arrival. */
  readonly #waiting = new Map<string, Request>();
  /** Requests that hold a row, in the order of admission; finished ones among them have a step in flight. */
  readonly #running = new Map<string, Request>();
  #nextStepIndex = 0;

  constructor(options: SchedulerOptions) {
    checkSchedulerOptions(options);
    this.#options = options;
    this.#kvCache = new KvCacheManager(options.geometry, options.numBlocks);
  }

  get numWaiting(): number {
    return this.#waiting.size;
  }

  get numRunning(): number {
    return this.#running.size;
  }

  get numFreeBlocks(): number {
    return this.#kvCache.numFreeBlocks;
  }

  /** A request waits, runs, or ended while a step of it is in flight: there is something to schedule or to process. */
  get hasUnfinished(): boolean {
    return this.#requests.size > 0;
  }

  /**
   * Puts a request at the end of the queue. Throws `invalid_request` (empty prompt, maxTokens under 1, id in use),
   * `context_length_exceeded` when the prompt leaves no room for one token, and `cache_too_small` when the request
   * would not fit an empty cache.
   */
  addRequest(request: Request): void {
    const { requestId, numPromptTokens } = request;
    const { maxModelLen } = this.#options;
    if (numPromptTokens === 0) throw invalidRequest("prompt", "The prompt has no tokens.");
    if (!(request.maxTokens >= 1)) throw invalidRequest("max_tokens", `max_tokens is ${request.maxTokens}, under 1`);
    if (this.#requests.has(requestId)) throw invalidRequest("requestId", `request id ${requestId} is in use`);
    if (numPromptTokens >= maxModelLen) {
      const message = `The prompt has ${numPromptTokens} tokens and the answer needs one more; the context holds ${maxModelLen}.`;
      throw new CairnError("context_length_exceeded", message, { numPromptTokens, maxModelLen });
    }
    const numBlocksNeeded = this.#numBlocksNeeded(request);
    const numBlocks = this.#kvCache.numUsableBlocks;
    if (numBlocksNeeded > numBlocks) {
      const message = `The request needs up to ${numBlocksNeeded} KV blocks; the cache has ${numBlocks}.`;
      throw new CairnError("cache_too_small", message, { numBlocksNeeded, numBlocks });
    }
    this.#requests.set(requestId, request);
    this.#waiting.set(requestId, request);
  }

  /** The next step, or null when nothing can be scheduled before a step in flight is processed or a request arrives. */
  schedule(): SchedulerOutput | null {
    const scheduled: ScheduledRequest[] = [];
    const newRows: NewRow[] = [];
    let tokenBudget = this.#options.maxNumBatchedTokens;

    const idle = [...this.#running.values()].filter((request) => request.numInFlightTokens === 0);
    const decoding = idle.filter((request) => !request.isPrefilling);
    const prefilling = idle.filter((request) => request.isPrefilling);
    for (const request of [...decoding, ...prefilling]) {
      if (tokenBudget === 0) break;
      const entry = this.#scheduleTokens(request, tokenBudget);
      tokenBudget -= entry.numTokens;
      scheduled.push(entry);
    }
    while (tokenBudget > 0) {
      const request = this.#admitNext();
      if (request === null) break;
      newRows.push({ requestId: request.requestId, row: request.row!, sampling: request.sampling });
      const entry = this.#scheduleTokens(request, tokenBudget);
      tokenBudget -= entry.numTokens;
      scheduled.push(entry);
    }
    if (scheduled.length === 0) return null;
    const numTokens = this.#options.maxNumBatchedTokens - tokenBudget;
    return { stepIndex: this.#nextStepIndex++, newRows, scheduled, numTokens };
  }

  /** Takes in what a step gave back. Every output of `schedule` must come here, once and in order. */
  update(output: SchedulerOutput, result: StepResult): RequestUpdate[] {
    assert(result.stepIndex === output.stepIndex, () => `step ${output.stepIndex} got result ${result.stepIndex}`);
    const updates: RequestUpdate[] = [];
    let numSampledSeen = 0;
    for (const entry of output.scheduled) {
      const request = this.#landStep(entry);
      const sampled = entry.samples ? result.sampled[numSampledSeen++] : null;
      // The output of a request that ended meanwhile is dropped, but its entry was counted.
      if (sampled && request.status === "running") updates.push(this.#appendSampled(request, sampled));
      this.#releaseIfEnded(request);
    }
    return updates;
  }

  /** Ends a request from outside, as for a stop string. False if it had ended already or was never here. */
  finish(requestId: string, reason: RequestFinishReason): boolean {
    const request = this.#requests.get(requestId);
    if (!request || request.status === "finished") return false;
    this.#waiting.delete(requestId);
    request.end(reason);
    this.#releaseIfEnded(request);
    return true;
  }

  /** Ends a request at any time: while it waits, runs, or has a step in flight, whose output is then dropped. */
  abort(requestId: string): boolean {
    return this.finish(requestId, "abort");
  }

  /** Throws `internal` unless blocks, rows, reservations and states agree. For tests, and for an idle engine. */
  checkIntegrity(): void {
    this.#kvCache.checkIntegrity();
    const running = [...this.#running.values()];
    const rows = new Set(running.map((request) => request.row));
    assert(rows.size === running.length && !rows.has(null), "requests share a row or lack one");
    assert(this.#requests.size === this.#waiting.size + running.length, "a request neither waits nor runs");
    assert(this.#numBlocksReserved() <= this.#kvCache.numUsableBlocks, "more blocks are reserved than there are");
    const holders = this.#kvCache.requestIds.filter((requestId) => !this.#running.has(requestId));
    assert(holders.length === 0, () => `requests that do not run hold blocks: ${holders}`);
    for (const request of this.#requests.values()) this.#checkRequest(request);
  }

  #checkRequest(request: Request): void {
    const { requestId, status, numInFlightTokens, numComputedTokens, numTokens } = request;
    const state = () => JSON.stringify({ requestId, status, numInFlightTokens, numComputedTokens, numTokens });
    const expected = this.#waiting.has(requestId) ? "waiting" : numInFlightTokens > 0 ? status : "running";
    assert(status === expected, () => `wrong status: ${state()}`);
    assert(numInFlightTokens >= 0 && numComputedTokens <= numTokens, () => `impossible counts: ${state()}`);
    const numHeld = this.#kvCache.numHeldBlocks(requestId);
    assert(numHeld <= this.#numBlocksNeeded(request), () => `${numHeld} blocks held, over the need: ${state()}`);
  }

  /**
   * The head of the queue as a running request, or null. Nothing can be preempted yet, so a request is admitted only
   * when its worst case fits beside those of all that run: then none of them ever waits for a block in mid-life. A head
   * that does not fit keeps the others waiting, else small requests could pass it for ever.
   */
  #admitNext(): Request | null {
    const { value: request } = this.#waiting.values().next();
    if (!request || this.#running.size === this.#options.maxNumRunning) return null;
    const numUnreserved = this.#kvCache.numUsableBlocks - this.#numBlocksReserved();
    if (this.#numBlocksNeeded(request) > numUnreserved) return null;

    this.#waiting.delete(request.requestId);
    request.row = this.#lowestFreeRow();
    request.status = "running";
    this.#running.set(request.requestId, request);
    return request;
  }

  #scheduleTokens(request: Request, tokenBudget: number): ScheduledRequest {
    const { requestId, numComputedTokens: startPosition, isPrefilling } = request;
    const maxChunkTokens = isPrefilling ? this.#maxChunkTokens(request) : 1;
    const numTokens = Math.min(request.numTokens - startPosition, tokenBudget, maxChunkTokens);
    const blockTableUpdates = this.#kvCache.allocateSlots(request, numTokens);
    assert(blockTableUpdates, () => `request ${requestId} got no blocks in spite of its reservation`);
    request.numComputedTokens += numTokens;
    request.numInFlightTokens += numTokens;
    return {
      requestId,
      row: request.row!,
      startPosition,
      numTokens,
      tokens: isPrefilling
        ? { kind: "ids", ids: request.promptTokenIds.slice(startPosition, startPosition + numTokens) }
        : { kind: "last-sampled" },
      blockTableUpdates,
      samples: request.numComputedTokens === request.numTokens,
    };
  }

  /** Counts a scheduled request's tokens as processed. */
  #landStep({ requestId, numTokens }: ScheduledRequest): Request {
    const request = this.#requests.get(requestId);
    assert(request, () => `a step was processed twice: request ${requestId} is gone`);
    request.numInFlightTokens -= numTokens;
    assert(request.numInFlightTokens >= 0, () => `a step of request ${requestId} was processed twice`);
    return request;
  }

  #appendSampled(request: Request, { requestId, tokenId, finite }: SampledToken): RequestUpdate {
    assert(requestId === request.requestId, () => `sampled id of ${requestId} where ${request.requestId}'s was due`);
    if (!finite) {
      const position = request.numTokens;
      const message = `The model gave NaN or infinity at position ${position}.`;
      return endWithError(request, new CairnError("numerical", message, { position }));
    }
    request.outputTokenIds.push(tokenId);
    const endsWithEos = request.eosTokenIds.includes(tokenId);
    const isFull = request.outputTokenIds.length >= request.maxTokens || request.numTokens >= this.#options.maxModelLen;
    const finishReason = endsWithEos ? "stop" : isFull ? "length" : null;
    if (finishReason) request.end(finishReason);
    return { requestId, newTokenIds: [tokenId], endsWithEos, finishReason, error: null };
  }

  #releaseIfEnded(request: Request): void {
    if (request.status !== "finished" || request.numInFlightTokens > 0) return;
    if (request.row !== null) this.#kvCache.free(request.requestId);
    request.row = null;
    this.#running.delete(request.requestId);
    this.#requests.delete(request.requestId);
  }

  #maxChunkTokens(request: Request): number {
    const { maxPrefillChunkTokens, maxNumBatchedTokens } = this.#options;
    return Math.min(request.numPromptTokens, maxNumBatchedTokens, maxPrefillChunkTokens ?? maxNumBatchedTokens);
  }

  #numBlocksNeeded(request: Request): number {
    const numTokens = request.maxNumFedTokens(this.#options.maxModelLen);
    return this.#kvCache.numBlocksNeeded(numTokens, this.#maxChunkTokens(request));
  }

  #numBlocksReserved(): number {
    return [...this.#running.values()].reduce((sum, request) => sum + this.#numBlocksNeeded(request), 0);
  }

  #lowestFreeRow(): number {
    const taken = new Set(Array.from(this.#running.values(), (request) => request.row));
    let row = 0;
    while (taken.has(row)) row++;
    return row;
  }
}

function endWithError(request: Request, error: CairnError): RequestUpdate {
  request.end("error");
  return { requestId: request.requestId, newTokenIds: [], endsWithEos: false, finishReason: "error", error };
}

function invalidRequest(param: string, message: string): CairnError {
  return new CairnError("invalid_request", message, { param });
}
