import { assert } from "../util/errors";
import type { Block } from "./block";

/** Free blocks in the order in which they will be handed out: a list linked through the blocks, O(1) everywhere. */
export class FreeBlockQueue {
  #first: Block | null = null;
  #last: Block | null = null;
  #length = 0;

  constructor(blocks: Iterable<Block>) {
    for (const block of blocks) this.append(block);
  }

  get length(): number {
    return this.#length;
  }

  /** Puts a block where it will be handed out last. It must not be in the queue. */
  append(block: Block): void {
    this.#insert(block, this.#last, null);
  }

  /** Puts a block where it will be handed out next. It must not be in the queue. */
  prepend(block: Block): void {
    this.#insert(block, null, this.#first);
  }

  shift(): Block | null {
    const block = this.#first;
    if (block) this.remove(block);
    return block;
  }

  /** Takes a block out from anywhere. It must be in the queue. */
  remove(block: Block): void {
    assert(this.#contains(block), () => `block ${block.blockId} is not in the free queue`);
    const { previousFree, nextFree } = block;
    if (previousFree) previousFree.nextFree = nextFree;
    else this.#first = nextFree;
    if (nextFree) nextFree.previousFree = previousFree;
    else this.#last = previousFree;
    block.previousFree = null;
    block.nextFree = null;
    this.#length -= 1;
  }

  *[Symbol.iterator](): Iterator<Block> {
    for (let block = this.#first; block; block = block.nextFree) yield block;
  }

  #insert(block: Block, previous: Block | null, next: Block | null): void {
    assert(!this.#contains(block), () => `block ${block.blockId} is already in the free queue`);
    block.previousFree = previous;
    block.nextFree = next;
    if (previous) previous.nextFree = block;
    else this.#first = block;
    if (next) next.previousFree = block;
    else this.#last = block;
    this.#length += 1;
  }

  #contains(block: Block): boolean {
    return block.previousFree !== null || block === this.#first;
  }
}
