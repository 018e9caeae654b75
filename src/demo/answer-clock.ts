import type { AnswerStats } from "./chat-state";
import type { AnswerDelta } from "./generate";

interface Arrival {
  readonly timeMs: number;
  /** Tokens that had arrived by then. */
  readonly numTokens: number;
}

/** Times one answer as the page sees it. Starts when it is made. */
export class AnswerClock {
  readonly #now: () => number;
  readonly #startMs: number;
  #first: Arrival | null = null;
  #last: Arrival | null = null;
  #numPromptTokens: number | null = null;
  #usage: AnswerDelta["usage"] = null;
  #finishReason: string | null = null;

  /** `now` gives milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#startMs = now();
  }

  get finishReason(): string | null {
    return this.#finishReason;
  }

  record(delta: AnswerDelta): void {
    if (delta.numTokens > 0) {
      this.#last = { timeMs: this.#now(), numTokens: (this.#last?.numTokens ?? 0) + delta.numTokens };
      this.#first ??= this.#last;
    }
    this.#numPromptTokens = delta.numPromptTokens ?? this.#numPromptTokens;
    this.#usage = delta.usage ?? this.#usage;
    this.#finishReason = delta.finishReason ?? this.#finishReason;
  }

  stats(): AnswerStats {
    return {
      timeToFirstTokenMs: this.#first === null ? null : this.#first.timeMs - this.#startMs,
      tokensPerSecond: this.#tokensPerSecond(),
      numTokens: this.#last?.numTokens ?? 0,
      numPromptTokens: this.#numPromptTokens,
      cachedTokens: this.#usage?.prompt_tokens_details.cached_tokens_by_tier ?? null,
    };
  }

  /** The speed of decoding: what came first belongs to the prompt's time. */
  #tokensPerSecond(): number | null {
    if (this.#first === null || this.#last === null) return null;
    const elapsedMs = this.#last.timeMs - this.#first.timeMs;
    return elapsedMs > 0 ? ((this.#last.numTokens - this.#first.numTokens) * 1000) / elapsedMs : null;
  }
}
