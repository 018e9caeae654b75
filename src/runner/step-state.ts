import { type Buffers, bufferBytes } from "../gpu/buffers";
import { BIAS_ROW_WORDS, maskRowWords, SAMPLING_ROW_WORDS } from "../kernels/sampling-row";
import { type StepBufferSizes, stepBufferBytes } from "./step-buffer";

/** The scheduler's state on the GPU. A row belongs to one running request; all of it can be rebuilt from known ids. */
export interface StepState {
  /** What the next step brings; written whole before each step. */
  readonly step: GPUBuffer;
  /** Block ids [group][row][entry]. Only what a step appends is written, by a kernel. */
  readonly blockTables: GPUBuffer;
  /** Sampling parameters of each row, written when a request gets the row. */
  readonly rows: GPUBuffer;
  /** The id that each row sampled last, written by the sampler and read by the next step's embedding. */
  readonly lastIds: GPUBuffer;
  /** [row][id], u32: how often the id is in the row's output, and whether it is in its prompt. Only of rows with penalties. */
  readonly tokenCounts: GPUBuffer;
  /** Logit biases of each row. */
  readonly biases: GPUBuffer;
  /** [row][ceil(vocab / 32)]: a bit for each id that may be sampled. Only of constrained rows, written before each step that samples for them. */
  readonly masks: GPUBuffer;
}

function bytes(sizes: StepBufferSizes, vocabSize: number): Record<keyof StepState, number> {
  return {
    step: stepBufferBytes(sizes),
    blockTables: sizes.numGroups * sizes.maxRows * sizes.maxBlocksPerRow * 4,
    rows: sizes.maxRows * SAMPLING_ROW_WORDS * 4,
    lastIds: sizes.maxRows * 4,
    tokenCounts: sizes.maxRows * vocabSize * 4,
    biases: sizes.maxRows * BIAS_ROW_WORDS * 4,
    masks: sizes.maxRows * maskRowWords(vocabSize) * 4,
  };
}

/** Bytes of each buffer. */
export function stepStateBytes(sizes: StepBufferSizes, vocabSize: number): Record<string, number> {
  return Object.fromEntries(Object.entries(bytes(sizes, vocabSize)).map(([name, size]) => [name, bufferBytes(size)]));
}

/** Rejects with `out_of_memory`. */
export async function allocateStepState(
  buffers: Buffers,
  sizes: StepBufferSizes,
  vocabSize: number,
): Promise<StepState> {
  const needed = bytes(sizes, vocabSize);
  return {
    step: buffers.storage("step", needed.step),
    blockTables: buffers.storage("block_tables", needed.blockTables),
    rows: buffers.storage("rows", needed.rows),
    lastIds: buffers.storage("last_ids", needed.lastIds),
    tokenCounts: await buffers.large("token_counts", needed.tokenCounts),
    biases: buffers.storage("biases", needed.biases),
    masks: buffers.storage("masks", needed.masks),
  };
}
