import type { Block } from "./block";

/** Entries [firstIndex, firstIndex + blockIds.length) of a block table. */
export interface TableEntries {
  readonly firstIndex: number;
  readonly blockIds: readonly number[];
}

/** Blocks of one request in one KV cache group: entry i holds positions [i * blockSize, (i + 1) * blockSize). */
export class BlockTable {
  readonly #blocks: Block[];
  readonly #nullBlock: Block;
  /** Entries before this one left the window, or were never seen, and hold the null block. */
  #firstHeld: number;
  /** Entries before this one were taken, or hold the null block. */
  #numTaken: number;

  /** `numNull` entries hold the null block from the beginning. */
  constructor(nullBlock: Block, numNull = 0) {
    this.#nullBlock = nullBlock;
    this.#blocks = new Array<Block>(numNull).fill(nullBlock);
    this.#firstHeld = numNull;
    this.#numTaken = numNull;
  }

  /** Number of entries, null blocks included. */
  get length(): number {
    return this.#blocks.length;
  }

  get blockIds(): number[] {
    return this.#blocks.map((block) => block.blockId);
  }

  /** The block at an entry; null where the entry holds the null block or does not exist. */
  heldAt(index: number): Block | null {
    return index < this.#firstHeld ? null : (this.#blocks[index] ?? null);
  }

  append(blocks: readonly Block[]): void {
    this.#blocks.push(...blocks);
  }

  /** The entries that were appended since the last call, for the copy of the table on the GPU; null if there are none. */
  takeNewEntries(): TableEntries | null {
    const firstIndex = Math.max(this.#numTaken, this.#firstHeld);
    this.#numTaken = this.#blocks.length;
    const blocks = this.#blocks.slice(firstIndex);
    return blocks.length === 0 ? null : { firstIndex, blockIds: blocks.map((block) => block.blockId) };
  }

  /** Puts the null block in the entries before `index`; returns the blocks that were there, for the caller to free. */
  dropBefore(index: number): Block[] {
    const first = this.#firstHeld;
    if (index <= first) return [];
    const dropped = this.#blocks.slice(first, index);
    this.#blocks.fill(this.#nullBlock, first, index);
    this.#firstHeld = first + dropped.length;
    return dropped;
  }
}
