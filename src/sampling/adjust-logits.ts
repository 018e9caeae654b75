import { hasPenalties, type SamplingParams } from "./sampling-params";

/** The ids that penalties are about. */
export interface TokenHistory {
  readonly promptTokenIds: readonly number[];
  readonly outputTokenIds: readonly number[];
}

/**
 * The logits that sampling sees, by definition; the GPU's are compared with them. `logits`: [vocab size]. Each id's bias is
 * added; then repetitionPenalty divides a positive logit of an id in prompt or output and multiplies another one; then
 * frequencyPenalty, as often as the id is in the output, and presencePenalty, if it is there at all, are taken off. What is
 * not finite stays as it is. An id whose bit is not set in `mask` [ceil(vocab size / 32)] gets -infinity.
 */
export function adjustLogits(
  logits: Float32Array,
  params: SamplingParams,
  history: TokenHistory,
  mask: Uint32Array | null = null,
): Float32Array {
  const numInOutput = new Map<number, number>();
  if (hasPenalties(params)) {
    for (const id of history.promptTokenIds) numInOutput.set(id, 0);
    for (const id of history.outputTokenIds) numInOutput.set(id, (numInOutput.get(id) ?? 0) + 1);
  }
  return logits.map((logit, id) => {
    if (!Number.isFinite(logit)) return logit;
    if (mask && ((mask[id >>> 5] >>> (id & 31)) & 1) === 0) return Number.NEGATIVE_INFINITY;
    let adjusted = logit + (params.logitBias.get(id) ?? 0);
    const count = numInOutput.get(id);
    if (count === undefined) return adjusted;
    adjusted = adjusted > 0 ? adjusted / params.repetitionPenalty : adjusted * params.repetitionPenalty;
    adjusted -= params.frequencyPenalty * count;
    return count > 0 ? adjusted - params.presencePenalty : adjusted;
  });
}
