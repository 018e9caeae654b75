import type { SamplingParams } from "../sampling/sampling-params";

export type RequestStatus = "waiting" | "running" | "finished";

/** "error": the model gave no usable logits. "abort": the caller wants no more. */
export type RequestFinishReason = "stop" | "length" | "error" | "abort";

export interface RequestOptions {
  readonly requestId: string;
  readonly promptTokenIds: readonly number[];
  readonly sampling: SamplingParams;
  /** Most ids to generate, at least 1; the context may end the request sooner. */
  readonly maxTokens: number;
  /** Ids that end the text. */
  readonly eosTokenIds: readonly number[];
}

/**
 * One generation, as the scheduler counts it. Only the scheduler changes it.
 *
 *     0             processed           computed = processed + in flight     numTokens
 *     |  in the cache  |  a submitted step writes it  |  known, not scheduled  |
 *
 * Once the prompt is computed, `numTokens` is `computed` while a step is in flight and one more after it.
 */
export class Request {
  readonly requestId: string;
  readonly promptTokenIds: readonly number[];
  readonly sampling: SamplingParams;
  readonly maxTokens: number;
  readonly eosTokenIds: readonly number[];
  readonly outputTokenIds: number[] = [];

  status: RequestStatus = "waiting";
  finishReason: RequestFinishReason | null = null;
  /** Row of the GPU's step state; null before admission and after the last step was processed. */
  row: number | null = null;
  /** Positions that submitted steps fill; advanced when a step is scheduled. */
  numComputedTokens = 0;
  /** Tokens of steps that are scheduled and not processed. */
  numInFlightTokens = 0;

  constructor(options: RequestOptions) {
    this.requestId = options.requestId;
    this.promptTokenIds = options.promptTokenIds;
    this.sampling = options.sampling;
    this.maxTokens = options.maxTokens;
    this.eosTokenIds = options.eosTokenIds;
  }

  get numPromptTokens(): number {
    return this.promptTokenIds.length;
  }

  /** Known tokens: the prompt and the ids that the CPU has seen. */
  get numTokens(): number {
    return this.promptTokenIds.length + this.outputTokenIds.length;
  }

  get isPrefilling(): boolean {
    return this.numComputedTokens < this.promptTokenIds.length;
  }

  /** Most tokens that the request ever feeds to the model. The last id that it samples is never fed. */
  maxNumFedTokens(maxModelLen: number): number {
    return Math.min(this.numPromptTokens + this.maxTokens, maxModelLen) - 1;
  }

  end(reason: RequestFinishReason): void {
    this.status = "finished";
    this.finishReason = reason;
  }
}
