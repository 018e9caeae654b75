import type { FinishReason, Timings } from "../protocol/messages";
import { StopMatcher } from "./stop-matcher";

/** Turns ids into text as they come; what could still be the beginning of a character is kept until it is whole. */
export interface TextDecoder {
  push(tokenId: number): string;
  flush(): string;
}

export interface OutputDelta {
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** Null while the request goes on. "stop" where a stop string ended it, whatever the scheduler said. */
  readonly finishReason: FinishReason | null;
}

/** One request's output: ids to text, stop strings, times. */
export class OutputProcessor {
  readonly #decoder: TextDecoder;
  readonly #stops: StopMatcher;
  readonly #arrivalMs: number;
  #scheduledMs: number | null = null;
  #firstTokenMs: number | null = null;

  /** Times are in milliseconds of one clock. */
  constructor(decoder: TextDecoder, stop: readonly string[], arrivalMs: number) {
    this.#decoder = decoder;
    this.#stops = new StopMatcher(stop);
    this.#arrivalMs = arrivalMs;
  }

  /** A step with tokens of this request was submitted. Only the first call counts. */
  markScheduled(nowMs: number): void {
    this.#scheduledMs ??= nowMs;
  }

  /** Takes in what a step brought. `endsWithEos`: the last id ended the request and is no text. */
  push(
    tokenIds: readonly number[],
    endsWithEos: boolean,
    finishReason: FinishReason | null,
    nowMs: number,
  ): OutputDelta {
    this.#firstTokenMs ??= nowMs;
    const textIds = endsWithEos ? tokenIds.slice(0, -1) : tokenIds;
    let text = "";
    for (const tokenId of textIds) text += this.#stops.push(this.#decoder.push(tokenId));
    if (finishReason !== null) text += this.#stops.push(this.#decoder.flush());
    if (this.#stops.matched) return { text, tokenIds, finishReason: "stop" };
    if (finishReason !== null) text += this.#stops.flush();
    return { text, tokenIds, finishReason };
  }

  /** Of a request that has output. */
  timings(nowMs: number): Timings {
    return {
      queueMs: (this.#scheduledMs ?? nowMs) - this.#arrivalMs,
      timeToFirstTokenMs: (this.#firstTokenMs ?? nowMs) - this.#arrivalMs,
      totalMs: nowMs - this.#arrivalMs,
    };
  }
}
