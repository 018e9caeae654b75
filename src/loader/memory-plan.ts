import { type KvGeometry, maxBlocksHeld } from "../kv/geometry";
import { CairnError } from "../util/errors";

/** Longest context that is set up unless the caller asks for another, in tokens. */
export const DEFAULT_MAX_MODEL_LEN = 8192;

/** Most bytes of KV cache that are taken unless the caller says so. */
const DEFAULT_KV_CACHE_BYTES = 1024 ** 3;

export interface MemoryRequest {
  readonly geometry: KvGeometry;
  /** Weights, in bytes on the GPU. */
  readonly weightBytes: number;
  /** Intermediate results and step state for a context of this length, in bytes. */
  readonly scratchBytes: (maxModelLen: number) => number;
  /** What the caller asked for; null leaves it to the plan. */
  readonly maxModelLen: number | null;
  readonly kvCacheBytes: number | null;
  readonly gpuMemoryBytes: number | null;
  readonly maxPositionEmbeddings: number;
  readonly maxNumRunning: number;
  /** Most tokens of one request that are in flight or being scheduled. */
  readonly maxUnprocessedTokens: number;
}

export interface MemoryPlan {
  readonly maxModelLen: number;
  /** Blocks of the pool, the null block included: what was asked for or can be of use. */
  readonly numBlocks: number;
  /** Fewest blocks with which one request of maxModelLen runs. */
  readonly minBlocks: number;
  readonly weightBytes: number;
  readonly scratchBytes: number;
  readonly kvCacheBytes: number;
}

/**
 * Divides the GPU's memory before anything is downloaded. The pool is never larger than `maxNumRunning` contexts can fill.
 * Errors: `invalid_request` where maxModelLen exceeds the checkpoint's, `out_of_memory` with all numbers where one
 * context does not fit beside the weights.
 */
export function planMemory(request: MemoryRequest): MemoryPlan {
  const { geometry, weightBytes, maxPositionEmbeddings } = request;
  if (request.maxModelLen !== null && request.maxModelLen > maxPositionEmbeddings) {
    throw new CairnError(
      "invalid_request",
      `maxModelLen is ${request.maxModelLen}, but the model was made for ${maxPositionEmbeddings} tokens.`,
      { param: "maxModelLen", value: request.maxModelLen, maxPositionEmbeddings },
    );
  }
  const wanted = request.maxModelLen ?? Math.min(maxPositionEmbeddings, DEFAULT_MAX_MODEL_LEN);
  const longest = longestThatFits(request, wanted);
  if (longest === 0 || (request.maxModelLen !== null && longest < wanted)) throw doesNotFit(request, wanted, longest);

  const scratchBytes = request.scratchBytes(longest);
  const minBlocks = blocksFor(request, longest);
  const useful = 1 + (minBlocks - 1) * request.maxNumRunning;
  const affordable = Math.floor(kvBudget(request, longest) / geometry.pageBytes);
  const numBlocks = Math.min(useful, affordable);
  return {
    maxModelLen: longest,
    numBlocks,
    minBlocks,
    weightBytes,
    scratchBytes,
    kvCacheBytes: numBlocks * geometry.pageBytes,
  };
}

/** Blocks that one request of that length holds at its worst, and the null block. */
function blocksFor({ geometry, maxUnprocessedTokens }: MemoryRequest, maxModelLen: number): number {
  // The last token of a full context is sampled but never fed, so it has no slot.
  return 1 + maxBlocksHeld(geometry, Math.max(1, maxModelLen - 1), maxUnprocessedTokens);
}

function kvBudget(request: MemoryRequest, maxModelLen: number): number {
  const { gpuMemoryBytes, weightBytes } = request;
  const left =
    gpuMemoryBytes === null
      ? Number.POSITIVE_INFINITY
      : gpuMemoryBytes - weightBytes - request.scratchBytes(maxModelLen);
  return Math.min(left, request.kvCacheBytes ?? DEFAULT_KV_CACHE_BYTES);
}

/** The longest context up to `wanted` whose KV fits; 0 where not even one token does. */
function longestThatFits(request: MemoryRequest, wanted: number): number {
  const fits = (length: number) => blocksFor(request, length) * request.geometry.pageBytes <= kvBudget(request, length);
  let low = 0;
  let high = wanted;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

function doesNotFit(request: MemoryRequest, wanted: number, longest: number): CairnError {
  const { geometry, weightBytes, gpuMemoryBytes } = request;
  const scratchBytes = request.scratchBytes(wanted);
  const kvBytes = blocksFor(request, wanted) * geometry.pageBytes;
  const kvAvailable = Math.max(0, kvBudget(request, wanted));
  const neededBytes = weightBytes + scratchBytes + kvBytes;
  const availableBytes = gpuMemoryBytes ?? weightBytes + scratchBytes + kvAvailable;
  return new CairnError(
    "out_of_memory",
    `A context of ${wanted} tokens needs ${neededBytes} bytes of GPU memory (weights ${weightBytes}, KV cache ${kvBytes}, ` +
      `intermediate results ${scratchBytes}), but ${availableBytes} are allowed. ` +
      (longest > 0 ? `${longest} tokens fit.` : "No context fits."),
    { neededBytes, availableBytes, weightBytes, kvCacheBytes: kvBytes, scratchBytes, longestMaxModelLen: longest },
  );
}
