/**
 * Cuts long steps at stage boundaries into submits of about `targetMs`, so that the page's own GPU work gets its turn
 * and no driver takes the device for hung. Learns from the steps that ended how long a stage takes per token.
 */
export class SubmitPacer {
  readonly #targetMs: number;
  #msPerStageToken = 0;

  constructor(targetMs: number) {
    this.#targetMs = targetMs;
  }

  /** Stages in one submit, of a step with `numTokens` tokens; at least 1. */
  stagesPerSubmit(numStages: number, numTokens: number): number {
    const stageMs = this.#msPerStageToken * numTokens;
    if (stageMs * numStages <= this.#targetMs) return numStages;
    return Math.max(1, Math.floor(this.#targetMs / stageMs));
  }

  /** Reports a finished step. Short batches say little about the cost of a token, so they are left out. */
  finished(numStages: number, numTokens: number, elapsedMs: number): void {
    if (numTokens < 16) return;
    const sample = elapsedMs / (numStages * numTokens);
    this.#msPerStageToken = this.#msPerStageToken === 0 ? sample : 0.5 * (this.#msPerStageToken + sample);
  }
}
