import { type Buffers, bufferBytes } from "../gpu/buffers";
import { KV_SPLIT } from "../kernels/attention-decode";
import { ceilDiv, roundUp } from "../util/math";
import type { ModelConfig } from "./config";

export interface ScratchSizes {
  /** Most tokens of a step. */
  readonly maxTokens: number;
  /** Most requests of a step, so most logit rows and most single-token queries. */
  readonly maxRows: number;
  readonly maxModelLen: number;
}

/** Intermediate results of a step, f32, overwritten by every layer. Rows are padded to units of eight elements. */
export interface Scratch {
  /** The residual stream [tokens, hidden], in two buffers: a post-norm prologue reads one and stores the other. */
  readonly residual: GPUBuffer;
  readonly residualNext: GPUBuffer;
  /** Output of attention or MLP before its post-norm [tokens, hidden]. */
  readonly branch: GPUBuffer;
  readonly normed: GPUBuffer;
  readonly qkv: GPUBuffer;
  readonly query: GPUBuffer;
  readonly attention: GPUBuffer;
  readonly mlp: GPUBuffer;
  readonly partialOut: GPUBuffer;
  readonly partialStats: GPUBuffer;
  /** [rows, vocab] of the model, then as many rows for what sampling makes of them; `logitRowCapacity` rows each. */
  readonly logits: GPUBuffer;
  /** Bound where a kernel's variant does not write. */
  readonly unused: GPUBuffer;
}

/** Elements from one logit row to the next. */
export function logitsStride(vocabSize: number): number {
  return roundUp(vocabSize, 4);
}

/** Logit rows that there is room for in a step of at most `maxRows` requests. GEMV reads whole tiles of up to eight. */
export function logitRowCapacity(maxRows: number): number {
  return Math.max(maxRows, 8);
}

export function maxSplits(maxModelLen: number): number {
  // A window that begins and ends within a split touches one split more than the context's length alone gives.
  return ceilDiv(maxModelLen, KV_SPLIT) + 1;
}

function elements(config: ModelConfig, sizes: ScratchSizes): Record<keyof Scratch, number> {
  const { hiddenSize, numHeads, numKvHeads, headDim, intermediateSize, vocabSize } = config;
  // GEMV reads whole tiles of up to eight tokens.
  const tokens = Math.max(sizes.maxTokens, 8);
  const rows = logitRowCapacity(sizes.maxRows);
  const hidden = tokens * roundUp(hiddenSize, 8);
  const partials = sizes.maxRows * numHeads * maxSplits(sizes.maxModelLen);
  return {
    residual: hidden,
    residualNext: hidden,
    branch: hidden,
    normed: Math.max(hidden, rows * roundUp(hiddenSize, 8)),
    qkv: tokens * (numHeads + 2 * numKvHeads) * headDim,
    query: tokens * numHeads * headDim,
    attention: tokens * numHeads * headDim,
    mlp: tokens * roundUp(intermediateSize, 8),
    partialOut: partials * headDim,
    partialStats: partials * 2,
    logits: 2 * rows * logitsStride(vocabSize),
    unused: 64,
  };
}

/** Bytes of each buffer. */
export function scratchBytes(config: ModelConfig, sizes: ScratchSizes): Record<string, number> {
  const counts = Object.entries(elements(config, sizes));
  return Object.fromEntries(counts.map(([name, count]) => [`scratch.${name}`, bufferBytes(count * 4)]));
}

/** Rejects with `out_of_memory`. */
export async function allocateScratch(buffers: Buffers, config: ModelConfig, sizes: ScratchSizes): Promise<Scratch> {
  const counts = Object.entries(elements(config, sizes));
  const made = await Promise.all(
    counts.map(async ([name, count]) => [name, await buffers.large(`scratch.${name}`, count * 4)] as const),
  );
  return Object.fromEntries(made) as unknown as Scratch;
}
