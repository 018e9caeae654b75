import type { KvGeometry } from "../kv/geometry";
import type { PrefixExtraKeys } from "../kv/prefix-hashes";
import { CairnError } from "../util/errors";

export interface SchedulerOptions extends Pick<PrefixExtraKeys, "lossyEncoding"> {
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
  /** Most steps that are scheduled before the first of them is processed; 1 switches async scheduling off. */
  readonly maxInFlightSteps: number;
  readonly usePrefixCache: boolean;
  /** Share of the usable blocks, 0 to 1, that an admission leaves free for the growth of those that run. */
  readonly admissionWatermark: number;
  /**
   * What bounds requests that load; "reserved" unless given. "reserved": they count as running, and find room for all that they need up to their first
   * output beside what others need. "counted": they only count as running. "unbounded": neither. The last two are for
   * comparison in simulations; rows of "unbounded" loads are more than the GPU has.
   */
  readonly loadAdmission?: "reserved" | "counted" | "unbounded";
}

/** Loads beside those that run where nothing else bounds them. */
const MAX_UNBOUNDED_LOADS = 16_384;

/** Rows of the step state and the block tables. */
export function numRows({ maxNumRunning, loadAdmission }: SchedulerOptions): number {
  return loadAdmission === "unbounded" ? maxNumRunning + MAX_UNBOUNDED_LOADS : maxNumRunning;
}

type ChunkLimits = Pick<SchedulerOptions, "maxNumBatchedTokens" | "maxPrefillChunkTokens" | "maxInFlightSteps">;

/** Most tokens of one request in one step. */
export function maxChunkTokens({ maxNumBatchedTokens, maxPrefillChunkTokens }: ChunkLimits): number {
  return Math.min(maxNumBatchedTokens, maxPrefillChunkTokens ?? maxNumBatchedTokens);
}

/** Most tokens of one request that are in flight or being scheduled: a chunk in every step. */
export function maxUnprocessedTokens(limits: ChunkLimits): number {
  return maxChunkTokens(limits) * limits.maxInFlightSteps;
}

/** Throws `invalid_request` for a size that is no positive integer, a budget under `maxNumRunning`, or a watermark outside 0 to 1. */
export function checkSchedulerOptions(options: SchedulerOptions): void {
  const { maxNumRunning, maxNumBatchedTokens, maxModelLen, maxInFlightSteps, admissionWatermark } = options;
  const maxPrefillChunkTokens = options.maxPrefillChunkTokens ?? 1;
  const counts = { maxNumRunning, maxNumBatchedTokens, maxPrefillChunkTokens, maxModelLen, maxInFlightSteps };
  for (const [param, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw invalidOption(param, `${param} must be a positive integer, not ${value}`);
    }
  }
  if (maxNumBatchedTokens < maxNumRunning) {
    const message = `maxNumBatchedTokens (${maxNumBatchedTokens}) must not be under maxNumRunning (${maxNumRunning})`;
    throw invalidOption("maxNumBatchedTokens", message);
  }
  if (!(admissionWatermark >= 0 && admissionWatermark <= 1)) {
    throw invalidOption("admissionWatermark", `admissionWatermark must be from 0 to 1, not ${admissionWatermark}`);
  }
}

function invalidOption(param: string, message: string): CairnError {
  return new CairnError("invalid_request", message, { param });
}
