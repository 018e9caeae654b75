/** Shorter steps say little about the cost of a token, and need no cutting. */
const MIN_TOKENS = 16;

/** A step that landed. Times are milliseconds of one clock. */
export interface FinishedStep {
  readonly numStages: number;
  readonly numTokens: number;
  readonly submittedMs: number;
  readonly landedMs: number;
}

/**
 * Cuts long steps at stage boundaries into submits of about `targetMs`, so that the page's own GPU work gets its turn
 * and no driver takes the device for hung. Learns from the steps that ended how long a stage takes per token; the first long step goes stage by stage.
 */
export class SubmitPacer {
  readonly #targetMs: number;
  /** Null until a step long enough to tell has finished. */
  #msPerStageToken: number | null = null;
  #lastLandedMs = Number.NEGATIVE_INFINITY;

  constructor(targetMs: number) {
    this.#targetMs = targetMs;
  }

  /** Stages in one submit, of a step with `numTokens` tokens; at least 1. */
  stagesPerSubmit(numStages: number, numTokens: number): number {
    if (this.#msPerStageToken === null) return numTokens < MIN_TOKENS ? numStages : 1;
    const stageMs = this.#msPerStageToken * numTokens;
    if (stageMs * numStages <= this.#targetMs) return numStages;
    return Math.max(1, Math.floor(this.#targetMs / stageMs));
  }

  /** Reports every step, in order. One that was submitted while another was in flight began when that one landed. */
  finished({ numStages, numTokens, submittedMs, landedMs }: FinishedStep): void {
    const elapsedMs = landedMs - Math.max(submittedMs, this.#lastLandedMs);
    this.#lastLandedMs = landedMs;
    if (numTokens < MIN_TOKENS) return;
    const sample = elapsedMs / (numStages * numTokens);
    this.#msPerStageToken = this.#msPerStageToken === null ? sample : 0.5 * (this.#msPerStageToken + sample);
  }
}
