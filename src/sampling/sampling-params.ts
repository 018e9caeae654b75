/** How the next id is chosen, normalized: what is off has its neutral value. Order: temperature, top-k, top-p, min-p. */
export interface SamplingParams {
  /** 0 means greedy: the highest logit, the lowest id among equals. */
  readonly temperature: number;
  /** Keep the `topK` most likely ids; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set of most likely ids whose probabilities reach `topP`; 1 keeps all. */
  readonly topP: number;
  /** Drop ids less likely than `minP` times the most likely one; 0 drops none. */
  readonly minP: number;
  /** A random number is a function of (seed, position) alone. An unsigned 64-bit integer in two halves. */
  readonly seed: readonly [low: number, high: number];
}
