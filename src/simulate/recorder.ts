import type { Request } from "../scheduler/request";
import type { RequestUpdate } from "../scheduler/request-update";
import type { SchedulerOutput } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";
import { ceilDiv } from "../util/math";
import { Samples } from "./samples";

/** How it is from now on. */
export interface Gauges {
  /** Blocks in use. */
  readonly numBlocks: number;
  /** Requests that load. */
  readonly numLoading: number;
  /** Blocks that stores hold until they are submitted. */
  readonly numLeasedBlocks: number;
}

interface LiveRequest {
  readonly request: Request;
  readonly arrivalMs: number;
  /** When a step was first scheduled for it; null before. */
  admittedMs: number | null;
  /** When its newest id became known; null before the first. */
  lastTokenMs: number | null;
}

/** Sums and samples of a simulation, fed by what happens in it. All times are those of the virtual clock. */
export class Recorder {
  readonly #blockSize: number;
  readonly #live = new Map<string, LiveRequest>();

  readonly queueMs = new Samples();
  readonly timeToFirstTokenMs = new Samples();
  readonly interTokenMs = new Samples();
  numFinished = 0;
  /** Refused requests by error code. */
  readonly numRefused: Record<string, number> = {};
  numPromptTokens = 0;
  numOutputTokens = 0;
  /** Blocks of all admitted prompts, those that their last tokens fill in part included. */
  numPromptBlocks = 0;
  /** What prompts had on the GPU, in RAM or in storage when they first ran. */
  numHitTokens = 0;
  numHitBlocks = 0;
  /** The part of it that was loaded from RAM, and the part of that which had come from storage. */
  numExternalHitTokens = 0;
  numStorageHitTokens = 0;
  firstArrivalMs: number | null = null;
  lastTokenMs = 0;

  peakBlocks = 0;
  peakLoading = 0;
  peakLeasedBlocks = 0;
  #numBlocks = 0;
  #blockMs = 0;
  #blocksSinceMs = 0;

  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  requestArrived(request: Request, arrivalMs: number): void {
    this.firstArrivalMs ??= arrivalMs;
    this.#live.set(request.requestId, { request, arrivalMs, admittedMs: null, lastTokenMs: null });
  }

  requestRefused(code: string): void {
    this.numRefused[code] = (this.numRefused[code] ?? 0) + 1;
  }

  stepScheduled({ newRows }: SchedulerOutput, nowMs: number): void {
    for (const { requestId } of newRows) {
      const live = this.#liveRequest(requestId);
      if (live.admittedMs !== null) continue; // Admitted again after a preemption.
      live.admittedMs = nowMs;
      this.queueMs.add(nowMs - live.arrivalMs);
      const { numPromptTokens, numCachedTokens, numExternalTokens, numStorageTokens } = live.request;
      assert(numCachedTokens !== null, () => `request ${requestId} was admitted without a count of cached tokens`);
      this.numPromptTokens += numPromptTokens;
      this.numPromptBlocks += ceilDiv(numPromptTokens, this.#blockSize);
      this.numHitTokens += numCachedTokens;
      this.numHitBlocks += numCachedTokens / this.#blockSize;
      this.numExternalHitTokens += numExternalTokens;
      this.numStorageHitTokens += numStorageTokens;
    }
  }

  stepProcessed(updates: readonly RequestUpdate[], nowMs: number): void {
    for (const { requestId, newTokenIds, finishReason } of updates) {
      const live = this.#liveRequest(requestId);
      for (const _ of newTokenIds) {
        if (live.lastTokenMs === null) this.timeToFirstTokenMs.add(nowMs - live.arrivalMs);
        else this.interTokenMs.add(nowMs - live.lastTokenMs);
        live.lastTokenMs = nowMs;
        this.lastTokenMs = nowMs;
      }
      this.numOutputTokens += newTokenIds.length;
      if (finishReason === null) continue;
      this.numFinished += 1;
      this.#live.delete(requestId);
    }
  }

  gauge({ numBlocks, numLoading, numLeasedBlocks }: Gauges, nowMs: number): void {
    this.#blockMs += this.#numBlocks * (nowMs - this.#blocksSinceMs);
    this.#blocksSinceMs = nowMs;
    this.#numBlocks = numBlocks;
    this.peakBlocks = Math.max(this.peakBlocks, numBlocks);
    this.peakLoading = Math.max(this.peakLoading, numLoading);
    this.peakLeasedBlocks = Math.max(this.peakLeasedBlocks, numLeasedBlocks);
  }

  /** From the first arrival to the last id. */
  get durationMs(): number {
    return this.lastTokenMs - (this.firstArrivalMs ?? 0);
  }

  /** Over the time of `durationMs`. */
  get meanBlocks(): number {
    return this.durationMs > 0 ? this.#blockMs / this.durationMs : 0;
  }

  #liveRequest(requestId: string): LiveRequest {
    const live = this.#live.get(requestId);
    assert(live, () => `request ${requestId} is not live`);
    return live;
  }
}
