import type { Block } from "./block";

/** Blocks of one request in one KV cache group: entry i holds positions [i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE). */
export class BlockTable {
  readonly #blocks: Block[] = [];
  readonly #nullBlock: Block;
  /** Entries before this one left the window and hold the null block. */
  #firstHeld = 0;

  constructor(nullBlock: Block) {
    this.#nullBlock = nullBlock;
  }

  /** Number of entries, null blocks included. */
  get length(): number {
    return this.#blocks.length;
  }

  /** The blocks that the table refers to, in order of position; null blocks are left out. */
  get heldBlocks(): Block[] {
    return this.#blocks.slice(this.#firstHeld);
  }

  get blockIds(): number[] {
    return this.#blocks.map((block) => block.blockId);
  }

  append(blocks: readonly Block[]): void {
    this.#blocks.push(...blocks);
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
