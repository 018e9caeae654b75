import { assert, CairnError } from "../util/errors";
import { Block, type CachedChunk } from "./block";
import type { KvKey } from "./chunk";
import { FreeBlockQueue } from "./free-block-queue";
import { NULL_BLOCK_ID } from "./geometry";

/**
 * All blocks of the KV cache, and the prefix cache over them. Block 0 is the null block, so `numBlocks - 1` can be used.
 *
 * A free block may still be cached; the free queue is the prefix cache in the order of eviction: uncached blocks first,
 * then the least recently used.
 */
export class BlockPool {
  readonly nullBlock: Block;
  readonly #blocks: readonly Block[];
  readonly #freeQueue: FreeBlockQueue;
  readonly #cached = new Map<KvKey, Block>();
  /** Blocks looked up, touched, handed out or given back since the pool was made. */
  numVisited = 0;

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

  /** Blocks that nobody names, cached ones included. */
  get numFreeBlocks(): number {
    return this.#freeQueue.length;
  }

  get numCachedBlocks(): number {
    return this.#cached.size;
  }

  /** Ids of the free blocks in the order in which they will be handed out. */
  get freeBlockIds(): number[] {
    return Array.from(this.#freeQueue, (block) => block.blockId);
  }

  block(blockId: number): Block {
    return this.#blocks[blockId];
  }

  /** The block of that name, free or not. */
  lookup(cacheKey: KvKey): Block | undefined {
    this.numVisited += 1;
    return this.#cached.get(cacheKey);
  }

  /**
   * Makes a held block's content known under `cacheKey`. Where the key has a block already this one stays unknown: block
   * tables only grow, so neither can take the other's place.
   */
  publish(block: Block, cacheKey: KvKey): void {
    assert(block.refCount > 0, () => `block ${block.blockId} is published, but nobody holds it`);
    this.numVisited += 1;
    if (block.cacheKey !== null || this.#cached.has(cacheKey)) return;
    block.cacheKey = cacheKey;
    this.#cached.set(cacheKey, block);
  }

  /** Cached blocks make up a chunk: with it they can be stored when nobody names them any more. */
  markChunk(chunk: CachedChunk): void {
    if (chunk.blocks.every(({ cacheKey }) => cacheKey !== null)) for (const block of chunk.blocks) block.chunk = chunk;
  }

  /** Whole chunks that lose a block when the next `numBlocks` blocks are handed out, each once, in that order. */
  nextEvicted(numBlocks: number): CachedChunk[] {
    const chunks = new Set<CachedChunk>();
    let numSeen = 0;
    for (const { chunk } of this.#freeQueue) {
      if (numSeen++ === numBlocks) break;
      if (chunk?.blocks.every((block) => block.chunk === chunk)) chunks.add(chunk);
    }
    return [...chunks];
  }

  /** One reference more for each block; free ones leave the queue. */
  touch(blocks: Iterable<Block>): void {
    for (const block of blocks) {
      this.numVisited += 1;
      if (block.refCount === 0) this.#freeQueue.remove(block);
      block.refCount += 1;
    }
  }

  /** `numBlocks` blocks with one reference each and no name, or null when fewer are free; then nothing changed. */
  allocate(numBlocks: number): Block[] | null {
    if (numBlocks > this.#freeQueue.length) return null;
    return Array.from({ length: numBlocks }, () => {
      const block = this.#freeQueue.shift()!;
      this.numVisited += 1;
      this.#forget(block);
      block.refCount = 1;
      return block;
    });
  }

  /**
   * Drops one reference of each block. Those that nobody names any more are free: an uncached one is handed out next, a
   * cached one last. Given tail first, a chain loses its tail before its head. Freeing a free block is an error.
   */
  free(blocks: Iterable<Block>): void {
    for (const block of blocks) {
      assert(block.refCount > 0, () => `block ${block.blockId} was freed with no reference left`);
      this.numVisited += 1;
      block.refCount -= 1;
      if (block.refCount > 0) continue;
      if (block.cacheKey === null) this.#freeQueue.prepend(block);
      else this.#freeQueue.append(block);
    }
  }

  /** Nobody can hit these held blocks any more; those who hold them keep them. */
  evict(blocks: Iterable<Block>): void {
    for (const block of blocks) {
      assert(block.refCount > 0, () => `block ${block.blockId} is evicted from the prefix cache, but nobody holds it`);
      this.numVisited += 1;
      this.#forget(block);
    }
  }

  /** Empties the prefix cache; those who hold blocks keep them. */
  resetPrefixCache(): void {
    for (const block of [...this.#cached.values()]) this.#forget(block);
  }

  #forget(block: Block): void {
    if (block.cacheKey !== null) this.#cached.delete(block.cacheKey);
    block.cacheKey = null;
    block.chunk = null;
  }

  /**
   * Throws `internal` unless every block's ref count equals the references counted afresh, the free queue holds exactly
   * the blocks without any, and blocks and their names lead to each other. `references` maps a block to the number of
   * those who name it.
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
    let numCached = 0;
    for (const block of this.#blocks) {
      const numReferences = references.get(block) ?? 0;
      const { blockId, refCount, cacheKey } = block;
      if (refCount !== numReferences) {
        throw integrityError("a ref count is wrong", { blockId, refCount, numReferences });
      }
      if (block !== this.nullBlock && free.has(block) !== (refCount === 0)) {
        throw integrityError("a block is both free and held, or neither", { blockId, refCount });
      }
      if (cacheKey === null) continue;
      numCached += 1;
      if (this.#cached.get(cacheKey) !== block) throw integrityError("a cached block is not found", { blockId });
    }
    if (numCached !== this.#cached.size) {
      throw integrityError("a cache key leads to a block of another name", {
        named: numCached,
        keys: this.#cached.size,
      });
    }
    if (free.has(this.nullBlock)) throw integrityError("the null block is free", { blockId: NULL_BLOCK_ID });
  }
}

function integrityError(message: string, data: Readonly<Record<string, number>>): CairnError {
  return new CairnError("internal", `KV cache integrity: ${message}: ${JSON.stringify(data)}`, data);
}
