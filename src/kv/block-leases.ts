import { assert } from "../util/errors";
import type { Block } from "./block";
import type { BlockPool } from "./block-pool";

/**
 * Holds of jobs on blocks, counted by job id: a leased block keeps its name, can be hit, and is not handed out. Taking a lease
 * twice, and giving up one that is not there, is an error.
 */
export class BlockLeases {
  readonly #pool: BlockPool;
  readonly #leases = new Map<number, readonly Block[]>();

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  get size(): number {
    return this.#leases.size;
  }

  /** Each as often as it is leased. */
  get blocks(): Block[] {
    return [...this.#leases.values()].flat();
  }

  take(jobId: number, blockIds: readonly number[]): void {
    assert(!this.#leases.has(jobId), () => `job ${jobId} has a lease already`);
    const blocks = blockIds.map((blockId) => this.#pool.block(blockId));
    this.#pool.touch(blocks);
    this.#leases.set(jobId, blocks);
  }

  release(jobId: number): void {
    const blocks = this.#leases.get(jobId);
    assert(blocks, () => `job ${jobId} has no lease to give up`);
    this.#leases.delete(jobId);
    this.#pool.free(blocks.toReversed());
  }

  /** Whether one of these blocks comes free when all leases on it are given up. */
  areOnlyHolders(blockIds: readonly number[]): boolean {
    const leased = this.blocks;
    return blockIds.some((blockId) => {
      const block = this.#pool.block(blockId);
      return block.refCount === leased.filter((each) => each === block).length;
    });
  }
}
