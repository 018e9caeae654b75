import { CairnError } from "../util/errors";
import { adjustLogits, type TokenHistory } from "./adjust-logits";
import { randomUniform } from "./random";
import type { SamplingParams } from "./sampling-params";

/** The ids that can be drawn, ascending, and the probability of each; they sum to 1. */
export interface SampleSupport {
  readonly ids: readonly number[];
  readonly probabilities: readonly number[];
}

/** Ids with weights that are proportional to their probabilities; the most likely one weighs exactly 1. */
interface WeightedIds {
  readonly ids: readonly number[];
  readonly weights: readonly number[];
}

const NO_HISTORY: TokenHistory = { promptTokenIds: [], outputTokenIds: [] };

/**
 * The sampler by definition, in float64; the GPU's is compared with it. `logits`: [vocab size]. `position`: position of
 * the token to draw, which is the number of tokens before it. Throws `numerical` where a logit is NaN or +infinity, or
 * none is finite.
 *
 * Logit bias and penalties come first, see adjustLogits; `history` is of no account without penalties. Temperature 0 takes
 * the highest logit. Else, with ids ordered by logit descending (ties: lowest id first): top-k keeps the first k; top-p
 * keeps the shortest prefix whose mass reaches topP of what top-k kept, at least one id; min-p drops ids less likely than
 * minP times the most likely one. The draw walks the kept ids in ascending order until their running mass exceeds
 * u * (kept mass), u = randomUniform(seed, position).
 */
export function sampleToken(
  logits: Float32Array,
  params: SamplingParams,
  position: number,
  history: TokenHistory = NO_HISTORY,
): number {
  const { ids, weights } = keptIds(adjustLogits(logits, params, history), params, position);
  const target = randomUniform(params.seed, position) * sum(weights);
  let runningMass = 0;
  for (let i = 0; i < ids.length; i++) {
    runningMass += weights[i];
    if (runningMass > target) return ids[i];
  }
  throw new CairnError("internal", `no id was drawn: mass ${runningMass}, target ${target}`, { runningMass, target });
}

/** What `sampleToken` draws from, by the same definition. */
export function sampleSupport(
  logits: Float32Array,
  params: SamplingParams,
  position: number,
  history: TokenHistory = NO_HISTORY,
): SampleSupport {
  const { ids, weights } = keptIds(adjustLogits(logits, params, history), params, position);
  const mass = sum(weights);
  return { ids, probabilities: weights.map((weight) => weight / mass) };
}

/** Ascending. */
function keptIds(logits: Float32Array, params: SamplingParams, position: number): WeightedIds {
  const greatestId = argmax(logits, position);
  if (params.temperature === 0) return { ids: [greatestId], weights: [1] };

  const greatest = logits[greatestId];
  const weightOf = (id: number) => Math.exp((logits[id] - greatest) / params.temperature);
  let ids = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  if (params.topK > 0) ids = ids.slice(0, params.topK);
  if (params.topP < 1) ids = ids.slice(0, topPLength(ids.map(weightOf), params.topP));
  if (params.minP > 0) ids = ids.filter((id) => weightOf(id) >= params.minP);
  ids.sort((a, b) => a - b);
  return { ids, weights: ids.map(weightOf) };
}

/** Length of the shortest prefix of `weights` that holds `topP` of their mass, at least 1. */
function topPLength(weights: readonly number[], topP: number): number {
  const target = topP * sum(weights);
  let mass = 0;
  const last = weights.findIndex((weight) => {
    mass += weight;
    return mass >= target;
  });
  return last + 1;
}

/** Id of the highest logit, the lowest id among equals. */
function argmax(logits: Float32Array, position: number): number {
  let greatestId = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id];
    if (Number.isNaN(logit) || logit === Number.POSITIVE_INFINITY) throw notFinite(logit, id, position);
    if (logit > logits[greatestId]) greatestId = id;
  }
  if (!Number.isFinite(logits[greatestId])) throw notFinite(logits[greatestId], greatestId, position);
  return greatestId;
}

function notFinite(logit: number, tokenId: number, position: number): CairnError {
  const message = `the model gave the logit ${logit} for id ${tokenId} at position ${position}`;
  return new CairnError("numerical", message, { position, tokenId });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
