import type { KvGeometry } from "../kv/geometry";
import { CairnError } from "../util/errors";

export interface SchedulerOptions {
  readonly geometry: KvGeometry;
  /** Blocks of the pool, the null block included. */
  readonly numBlocks: number;
  /** Rows of the GPU's step state: requests that run at once. */
  readonly maxNumRunning: number;
  /** Token budget of a step; at least `maxNumRunning`, so that every running request can decode in every step. */
  readonly maxNumBatchedTokens: number;
  /** Most prompt tokens of one request in one step; null leaves it to the token budget. */
  readonly maxPrefillChunkTokens: number | null;
  /** Longest prompt + completion, in tokens. */
  readonly maxModelLen: number;
}

/** Throws `invalid_request` for a size that is no positive integer, or a budget under `maxNumRunning`. */
export function checkSchedulerOptions(options: SchedulerOptions): void {
  const { maxNumRunning, maxNumBatchedTokens, maxPrefillChunkTokens, maxModelLen } = options;
  const counts = { maxNumRunning, maxNumBatchedTokens, maxPrefillChunkTokens: maxPrefillChunkTokens ?? 1, maxModelLen };
  for (const [param, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw invalidOption(param, `${param} must be a positive integer, not ${value}`);
    }
  }
  if (maxNumBatchedTokens < maxNumRunning) {
    const message = `maxNumBatchedTokens (${maxNumBatchedTokens}) must not be under maxNumRunning (${maxNumRunning})`;
    throw invalidOption("maxNumBatchedTokens", message);
  }
}

function invalidOption(param: string, message: string): CairnError {
  return new CairnError("invalid_request", message, { param });
}
