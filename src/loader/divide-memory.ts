import { type KvGeometry, maxBlocksHeld } from "../kv/geometry";
import { CairnError } from "../util/errors";

/** Longest context that is set up unless the caller asks for another, in tokens. */
const DEFAULT_MAX_MODEL_LEN = 8192;

/** Most bytes of KV cache that are taken unless the caller says so. */
const DEFAULT_KV_CACHE_BYTES = 1024 ** 3;

/** What is on the GPU beside the KV cache, in bytes. */
export interface MemoryParts {
  readonly weightBytes: number;
  readonly stepStateBytes: number;
  readonly scratchBytes: number;
  readonly stagingBytes: number;
}

export interface MemoryRequest {
  readonly geometry: KvGeometry;
  /** For a context of this length: what it takes beside the KV cache, and the largest of the buffers that kernels bind. */
  readonly sizesFor: (maxModelLen: number) => {
    readonly parts: MemoryParts;
    readonly largest: { readonly label: string; readonly bytes: number };
  };
  /** The most bytes that one binding of the device may span. */
  readonly maxBindingBytes: number;
  /** What the caller asked for; null leaves it to the plan. */
  readonly maxModelLen: number | null;
  readonly kvCacheBytes: number | null;
  readonly gpuMemoryBytes: number | null;
  readonly maxPositionEmbeddings: number;
  readonly maxNumRunning: number;
  /** Most tokens of one request that are in flight or being scheduled. */
  readonly maxUnprocessedTokens: number;
}

export interface MemoryDivision extends MemoryParts {
  /** The context that was asked for; where none was, the longest that fits, up to the default. */
  readonly maxModelLen: number;
  /** 0 where no context fits. */
  readonly longestModelLen: number;
  /** Blocks of the pool, the null block included: what was asked for or can be of use. */
  readonly numBlocks: number;
  /** Fewest blocks with which one request of maxModelLen runs. */
  readonly minBlocks: number;
  readonly kvCacheBytes: number;
  /** The parts and the KV cache. */
  readonly gpuBytes: number;
  /** Why a context of maxModelLen does not fit: `out_of_memory` or `device_limit`, with the numbers. Null where it does. */
  readonly refusal: CairnError | null;
}

/**
 * Divides the GPU's memory before anything is downloaded. The pool is never larger than `maxNumRunning` contexts can fill.
 * Throws `invalid_request` where maxModelLen exceeds the checkpoint's.
 */
export function divideMemory(request: MemoryRequest): MemoryDivision {
  const { geometry, maxPositionEmbeddings } = request;
  if (request.maxModelLen !== null && request.maxModelLen > maxPositionEmbeddings) {
    throw new CairnError(
      "invalid_request",
      `maxModelLen is ${request.maxModelLen}, but the model was made for ${maxPositionEmbeddings} tokens.`,
      { param: "maxModelLen", value: request.maxModelLen, maxPositionEmbeddings },
    );
  }
  const longestModelLen = longestThatFits(request);
  const usual = Math.min(maxPositionEmbeddings, DEFAULT_MAX_MODEL_LEN);
  const maxModelLen = request.maxModelLen ?? Math.min(usual, longestModelLen || usual);

  const { parts } = request.sizesFor(maxModelLen);
  const minBlocks = blocksFor(request, maxModelLen);
  const useful = 1 + (minBlocks - 1) * request.maxNumRunning;
  const affordable = Math.floor(kvBudget(request, parts) / geometry.pageBytes);
  const bindable = Math.floor(request.maxBindingBytes / geometry.layerSlotBytes);
  const numBlocks = Math.max(minBlocks, Math.min(useful, affordable, bindable));
  const kvCacheBytes = numBlocks * geometry.pageBytes;
  return {
    ...parts,
    maxModelLen,
    longestModelLen,
    numBlocks,
    minBlocks,
    kvCacheBytes,
    gpuBytes: sumOf(parts) + kvCacheBytes,
    refusal: maxModelLen > longestModelLen ? refusalOf(request, maxModelLen, longestModelLen) : null,
  };
}

/** Blocks that one request of that length holds at its worst, and the null block. */
function blocksFor({ geometry, maxUnprocessedTokens }: MemoryRequest, maxModelLen: number): number {
  // The last token of a full context is sampled but never fed, so it has no slot.
  return 1 + maxBlocksHeld(geometry, Math.max(1, maxModelLen - 1), maxUnprocessedTokens);
}

function sumOf({ weightBytes, stepStateBytes, scratchBytes, stagingBytes }: MemoryParts): number {
  return weightBytes + stepStateBytes + scratchBytes + stagingBytes;
}

/** Bytes that the KV cache may take; below 0 where not even the rest fits. */
function kvBudget({ gpuMemoryBytes, kvCacheBytes }: MemoryRequest, parts: MemoryParts): number {
  const left = gpuMemoryBytes === null ? Number.POSITIVE_INFINITY : gpuMemoryBytes - sumOf(parts);
  return Math.min(left, kvCacheBytes ?? DEFAULT_KV_CACHE_BYTES);
}

/** The longest context that fits, up to the checkpoint's; 0 where not even one token does. */
function longestThatFits(request: MemoryRequest): number {
  let low = 0;
  let high = request.maxPositionEmbeddings;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (needs(request, middle).fits) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** What a context of this length needs at least: one request's KV. */
function needs(request: MemoryRequest, maxModelLen: number) {
  const { geometry, maxBindingBytes } = request;
  const { parts, largest } = request.sizesFor(maxModelLen);
  const numBlocks = blocksFor(request, maxModelLen);
  const kvCacheBytes = numBlocks * geometry.pageBytes;
  const kvLayer = { label: "one layer of the KV cache", bytes: numBlocks * geometry.layerSlotBytes };
  const binding = kvLayer.bytes > largest.bytes ? kvLayer : largest;
  const fits = binding.bytes <= maxBindingBytes && kvCacheBytes <= kvBudget(request, parts);
  return { parts, kvCacheBytes, binding, fits };
}

function refusalOf(request: MemoryRequest, maxModelLen: number, longestModelLen: number): CairnError {
  const { parts, kvCacheBytes, binding } = needs(request, maxModelLen);
  const advice = longestModelLen > 0 ? `${longestModelLen} tokens fit.` : "No context fits.";
  const lengths = { maxModelLen, longestModelLen };
  if (binding.bytes > request.maxBindingBytes) {
    return new CairnError(
      "device_limit",
      `A context of ${maxModelLen} tokens needs ${binding.bytes} bytes in one piece (${binding.label}), but this GPU ` +
        `binds ${request.maxBindingBytes} at most. ${advice}`,
      {
        limit: "maxStorageBufferBindingSize",
        needed: binding.bytes,
        available: request.maxBindingBytes,
        buffer: binding.label,
        ...lengths,
      },
    );
  }
  const neededBytes = sumOf(parts) + kvCacheBytes;
  const availableBytes = sumOf(parts) + kvBudget(request, parts);
  return new CairnError(
    "out_of_memory",
    `A context of ${maxModelLen} tokens needs ${neededBytes} bytes of GPU memory (weights ${parts.weightBytes}, KV cache ` +
      `${kvCacheBytes}, intermediate results ${parts.scratchBytes}, step state ${parts.stepStateBytes}, staging ` +
      `${parts.stagingBytes}), but ${availableBytes} are allowed. ${advice}`,
    { neededBytes, availableBytes, ...parts, kvCacheBytes, ...lengths },
  );
}
