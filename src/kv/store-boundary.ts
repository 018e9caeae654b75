/** Counts of a request, read at one point of time. */
export interface WrittenAndKnown {
  /** Positions fed to submitted steps, or that came from a cache; 0 for a request that never ran. */
  readonly numComputedTokens: number;
  /** Tokens whose ids the CPU has: the prompt and what it has seen of the output. */
  readonly numTokens: number;
}

/**
 * Tokens whose KV exists and whose ids are known, so that it may be shared and stored: the same for a step, a finish, a
 * stop string, an abort and a preemption. An id that no submitted step has fed has no KV (the last one of a finished
 * request, unless the next step was in flight already); KV of an output that the CPU has not seen has no name.
 */
export function numStorableTokens({ numComputedTokens, numTokens }: WrittenAndKnown): number {
  return Math.min(numComputedTokens, numTokens);
}
