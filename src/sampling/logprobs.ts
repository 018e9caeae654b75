import type { Logprobs } from "./sampling-params";

/**
 * Log-softmax of the model's own logits at the id that was chosen and at the `numTop` most likely ones, in float64; the GPU's
 * is compared with it. `logits`: [vocab size], finite or -infinity. Fewer than `numTop` where the vocabulary is smaller.
 */
export function computeLogprobs(logits: Float32Array, tokenId: number, numTop: number): Logprobs {
  const ids = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const greatest = logits[ids[0]];
  const logMass = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - greatest), 0));
  const logprobOf = (id: number) => logits[id] - greatest - logMass;
  return { logprob: logprobOf(tokenId), top: ids.slice(0, numTop).map((id) => [id, logprobOf(id)] as const) };
}
