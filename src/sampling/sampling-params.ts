/**
 * How the next id is chosen, normalized: what is off has its neutral value. Order: logit bias, penalties, mask,
 * temperature, top-k, top-p, min-p.
 */
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
  /** Logits of ids in prompt or output are divided by it where they are positive, else multiplied; 1 is off. */
  readonly repetitionPenalty: number;
  /** Taken off the logits of ids in the output; 0 is off. */
  readonly presencePenalty: number;
  /** Taken off a logit once for each time that its id is in the output; 0 is off. */
  readonly frequencyPenalty: number;
  /** Added to the logits of these ids; at most MAX_LOGIT_BIASES. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Null: no logprobs. Else that of the chosen id and of this many most likely ones, 0 to MAX_LOGPROBS. */
  readonly numLogprobs: number | null;
  /** Each step that samples comes with a mask; no other id can be drawn. */
  readonly isConstrained: boolean;
}

/** Draws from the model's own distribution. */
export const NEUTRAL_SAMPLING: SamplingParams = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: [0, 0],
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  numLogprobs: null,
  isConstrained: false,
};

export const MAX_LOGIT_BIASES = 1024;
export const MAX_LOGPROBS = 20;
/** Outside of these, logits soon leave the range of f32. */
export const REPETITION_PENALTY_RANGE = [0.01, 10] as const;

/** The next id depends on which ids the text has. */
export function hasPenalties({ repetitionPenalty, presencePenalty, frequencyPenalty }: SamplingParams): boolean {
  return repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
}

/** Sampling sees other logits than the model's own. */
export function adjustsLogits(params: SamplingParams): boolean {
  return params.logitBias.size > 0 || hasPenalties(params) || params.isConstrained;
}

/** Log-probabilities under the model's own logits: before logit bias, penalties and temperature. */
export interface Logprobs {
  /** Of the id that was chosen. */
  readonly logprob: number;
  /** The most likely ids, most likely first, ties by lowest id. */
  readonly top: readonly (readonly [tokenId: number, logprob: number])[];
}
