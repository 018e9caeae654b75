import { assert, CairnError } from "../util/errors";
import { Block } from "./block";
import { FreeBlockQueue } from "./free-block-queue";
import { NULL_BLOCK_ID } from "./geometry";

/** All blocks of the KV cache. Block 0 is the null block, so `numBlocks - 1` can be used. */
export class BlockPool {
  readonly nullBlock: Block;
  readonly #blocks: readonly Block[];
  readonly #freeQueue: FreeBlockQueue;

  constructor(numBlocks: number) {
    if (!Number.isSafeInteger(numBlocks) || numBlocks < 2) {
      throw new CairnError("invalid_request", `numBlocks must be an integer of at least 2, not ${numBlocks}`, {
        param: "numBlocks",
      });
    }
    this.#blocks = Array.from({ length: numBlocks }, (_, blockId) => new Block(blockId));
    this.nullBlock = this.#blocks[NULL_BLOCK_ID];
    this.#freeQueue = new FreeBlockQueue(this.#blocks.slice(NULL_BLOCK_ID + 1));
  }

  get numUsableBlocks(): number {
    return this.#blocks.length - 1;
  }

  get numFreeBlocks(): number {
    return this.#freeQueue.length;
  }

  /** Ids of the free blocks in the order in which they will be handed out. */
  get freeBlockIds(): number[] {
    return Array.from(this.#freeQueue, (block) => block.blockId);
  }

  /** `numBlocks` blocks with one reference each, or null when fewer are free; then nothing changed. */
  allocate(numBlocks: number): Block[] | null {
    if (numBlocks > this.#freeQueue.length) return null;
    return Array.from({ length: numBlocks }, () => {
      const block = this.#freeQueue.shift()!;
      block.refCount = 1;
      return block;
    });
  }

  /**
   * Drops one reference of each block. Blocks that nobody names any more go to the front of the free queue, the last
   * given first: a chain loses its tail before its head. Freeing a free block or the null block is an error.
   */
  free(blocks: Iterable<Block>): void {
    for (const block of blocks) {
      assert(block.refCount > 0, () => `block ${block.blockId} was freed with no reference left`);
      block.refCount -= 1;
      if (block.refCount === 0) this.#freeQueue.prepend(block);
    }
  }

  /**
   * Throws `internal` unless every block's ref count equals the references counted afresh, and the free queue holds
   * exactly the blocks without any. `references` maps a block to the number of those who name it.
   */
  checkIntegrity(references: ReadonlyMap<Block, number>): void {
    const free = new Set(this.#freeQueue);
    const { numUsableBlocks } = this;
    if (free.size !== this.#freeQueue.length) {
      throw integrityError("the free queue lost count", { walked: free.size, counted: this.#freeQueue.length });
    }
    if (free.size + references.size !== numUsableBlocks) {
      throw integrityError("free + held blocks differ from all", {
        free: free.size,
        held: references.size,
        all: numUsableBlocks,
      });
    }
    for (const block of this.#blocks) {
      const numReferences = references.get(block) ?? 0;
      const { blockId, refCount } = block;
      if (refCount !== numReferences) {
        throw integrityError("a ref count is wrong", { blockId, refCount, numReferences });
      }
      if (block !== this.nullBlock && free.has(block) !== (refCount === 0)) {
        throw integrityError("a block is both free and held, or neither", { blockId, refCount });
      }
    }
    if (free.has(this.nullBlock)) throw integrityError("the null block is free", { blockId: NULL_BLOCK_ID });
  }
}

function integrityError(message: string, data: Readonly<Record<string, number>>): CairnError {
  return new CairnError("internal", `KV cache integrity: ${message}: ${JSON.stringify(data)}`, data);
}
