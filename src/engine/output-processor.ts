import type { FinishReason, OutputLogprob, Timings } from "../protocol/messages";
import type { RequestUpdate } from "../scheduler/request-update";
import { StopMatcher } from "./stop-matcher";
import type { TextLogprobs } from "./text-logprobs";

/** Turns ids into text as they come; what could still be the beginning of a character is kept until it is whole. */
export interface TextDecoder {
  push(tokenId: number): string;
  flush(): string;
}

export interface OutputDelta {
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** Absent where the request did not ask. */
  readonly logprobs?: readonly OutputLogprob[];
  /** Null while the request goes on. "stop" where a stop string ended it, whatever the scheduler said. */
  readonly finishReason: FinishReason | null;
}

type OutputUpdate = Pick<RequestUpdate, "newTokenIds" | "newLogprobs" | "endsWithEos">;

/** One request's output: ids to text, stop strings, times. */
export class OutputProcessor {
  readonly #decoder: TextDecoder;
  readonly #stops: StopMatcher;
  readonly #logprobs: TextLogprobs | null;
  readonly #arrivalMs: number;
  /** Characters that were decoded, and those of them that were handed out. */
  #numDecoded = 0;
  #numGiven = 0;
  #scheduledMs: number | null = null;
  #firstTokenMs: number | null = null;

  /** Times are in milliseconds of one clock. `logprobs`: null where the request did not ask. */
  constructor(decoder: TextDecoder, stop: readonly string[], logprobs: TextLogprobs | null, arrivalMs: number) {
    this.#decoder = decoder;
    this.#stops = new StopMatcher(stop);
    this.#logprobs = logprobs;
    this.#arrivalMs = arrivalMs;
  }

  /** A step with tokens of this request was submitted. Only the first call counts. */
  markScheduled(nowMs: number): void {
    this.#scheduledMs ??= nowMs;
  }

  /** Takes in what a step brought. An EOS id that ended the request is no text. */
  push(update: OutputUpdate, finishReason: FinishReason | null, nowMs: number): OutputDelta {
    const { newTokenIds: tokenIds, newLogprobs, endsWithEos } = update;
    this.#firstTokenMs ??= nowMs;
    const textIds = endsWithEos ? tokenIds.slice(0, -1) : tokenIds;
    let text = "";
    textIds.forEach((tokenId, index) => {
      this.#logprobs?.push(tokenId, newLogprobs[index], this.#numDecoded);
      text += this.#take(this.#decoder.push(tokenId));
    });
    if (finishReason !== null) text += this.#take(this.#decoder.flush());
    const isStopped = this.#stops.matched;
    const isEnd = finishReason !== null && !isStopped;
    if (isEnd) text += this.#stops.flush();
    this.#numGiven += text.length;
    // At its end the text has tokens that begin where it ends: they have no characters.
    const logprobs = this.#logprobs?.take(isEnd ? Number.POSITIVE_INFINITY : this.#numGiven);
    return { text, tokenIds, ...(logprobs && { logprobs }), finishReason: isStopped ? "stop" : finishReason };
  }

  /** What of a decoded piece may be shown. */
  #take(piece: string): string {
    this.#numDecoded += piece.length;
    return this.#stops.push(piece);
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
