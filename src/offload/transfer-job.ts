import type { KvKey } from "../kv/chunk";

/** Counts up and is never used twice, over all connectors of an engine. */
export type JobId = number;

/** A chunk on its way from GPU blocks to a host slot. It is in the slot when its result says so, and not before. */
export interface StoreJob {
  readonly jobId: JobId;
  /** Of the GPU device that holds the blocks. A result of another epoch than the present one means nothing. */
  readonly epoch: number;
  readonly key: KvKey;
  /** In the order of the chunk. */
  readonly blockIds: readonly number[];
  readonly slotId: number;
}

/** One block of a host slot's chunk, and the GPU block that it goes to. */
export interface BlockLoad {
  readonly slotId: number;
  /** Place of the block in the chunk. */
  readonly blockInChunk: number;
  readonly blockId: number;
}

/** Blocks on their way from host slots to the GPU, in order: where one fails, those behind it count as failed too. */
export interface LoadJob {
  readonly jobId: JobId;
  readonly epoch: number;
  readonly blocks: readonly BlockLoad[];
}

/**
 * What a step copies. Stores run before anything of the step writes to a block: they see what the steps before it wrote.
 * Loads run behind them, and before the step computes.
 */
export interface StepTransfers {
  readonly stores: readonly StoreJob[];
  readonly loads: readonly LoadJob[];
}

/** How a job ended; every job has one result at most. */
export interface TransferResult {
  readonly jobId: JobId;
  readonly epoch: number;
  /** Blocks from the job's beginning that arrived: all of them where it succeeded. A store arrives whole or not at all. */
  readonly numBlocks: number;
}

/** The host memory as transfers see it. */
export interface HostSlots {
  /**
   * The bytes of a slot: one chunk, block after block, each page in the order of its layer slots. Valid until the caller
   * awaits something. Throws where the slot has no memory.
   */
  slot(slotId: number): Uint8Array<ArrayBuffer>;
}
