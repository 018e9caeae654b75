import { type Buffers, bufferBytes } from "../gpu/buffers";
import { SAMPLING_ROW_WORDS } from "../kernels/sample";
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
}

function bytes(sizes: StepBufferSizes): Record<keyof StepState, number> {
  return {
    step: stepBufferBytes(sizes),
    blockTables: sizes.numGroups * sizes.maxRows * sizes.maxBlocksPerRow * 4,
    rows: sizes.maxRows * SAMPLING_ROW_WORDS * 4,
    lastIds: sizes.maxRows * 4,
  };
}

/** Bytes of each buffer. */
export function stepStateBytes(sizes: StepBufferSizes): Record<string, number> {
  return Object.fromEntries(Object.entries(bytes(sizes)).map(([name, size]) => [name, bufferBytes(size)]));
}

export function allocateStepState(buffers: Buffers, sizes: StepBufferSizes): StepState {
  const needed = bytes(sizes);
  return {
    step: buffers.storage("step", needed.step),
    blockTables: buffers.storage("block_tables", needed.blockTables),
    rows: buffers.storage("rows", needed.rows),
    lastIds: buffers.storage("last_ids", needed.lastIds),
  };
}
