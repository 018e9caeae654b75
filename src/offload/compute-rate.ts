/** Shorter steps say little about the cost of a token. */
const MIN_TOKENS = 16;

/** How long computing takes, learned from steps that came back. */
export class ComputeRate {
  readonly #now: () => number;
  readonly #inFlight = new Map<number, { readonly numTokens: number; readonly scheduledMs: number }>();
  #lastProcessedMs = Number.NEGATIVE_INFINITY;
  #msPerToken: number | null = null;

  constructor(now: () => number) {
    this.#now = now;
  }

  stepScheduled(stepIndex: number, numTokens: number): void {
    this.#inFlight.set(stepIndex, { numTokens, scheduledMs: this.#now() });
  }

  /** A step that was scheduled while another was in flight began when that one came back. */
  stepProcessed(stepIndex: number): void {
    const step = this.#inFlight.get(stepIndex);
    if (!step) return;
    this.#inFlight.delete(stepIndex);
    const nowMs = this.#now();
    const elapsedMs = nowMs - Math.max(step.scheduledMs, this.#lastProcessedMs);
    this.#lastProcessedMs = nowMs;
    if (step.numTokens < MIN_TOKENS) return;
    const sample = elapsedMs / step.numTokens;
    this.#msPerToken = this.#msPerToken === null ? sample : 0.5 * (this.#msPerToken + sample);
  }

  /** Steps in flight will not come back. */
  forgetSteps(): void {
    this.#inFlight.clear();
  }

  /** Milliseconds to compute `numTokens` tokens; Infinity while nothing is known. */
  predictMs(numTokens: number): number {
    return this.#msPerToken === null ? Number.POSITIVE_INFINITY : this.#msPerToken * numTokens;
  }
}
