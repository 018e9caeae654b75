import type { KvStore } from "../protocol/kv-messages";
import { assert } from "../util/errors";
import { ceilDiv } from "../util/math";
import type { Block, CachedChunk } from "./block";
import { BlockLeases } from "./block-leases";
import { BlockPool } from "./block-pool";
import { BlockTable, type TableEntries } from "./block-table";
import { kvKey } from "./chunk";
import type { KvGeometry } from "./geometry";
import type { PrefixHashes } from "./prefix-hashes";
import { firstBlockSeen, longestPrefix } from "./prefix-match";
import { numStorableTokens } from "./store-boundary";

/** What the cache has to know of a request. */
export interface KvRequest {
  /** Of the block tables; null while the request does not run. */
  readonly row: number | null;
  /** Tokens whose ids are known. */
  readonly numTokens: number;
  /** Positions that submitted steps fill, or that were cached. */
  readonly numComputedTokens: number;
  /** Those of them whose step was not processed yet. */
  readonly numInFlightTokens: number;
  /** Null for a request that does not use the prefix cache. */
  readonly prefixHashes: PrefixHashes | null;
  readonly store: KvStore;
}

/** New entries of a request's block table in one group. */
export interface NewBlocks extends TableEntries {
  readonly group: number;
}

/** What there is for a request. Good until the next change of the cache; nothing is held by it. */
export interface PrefixHit {
  /** A multiple of the block size, less than the request's known tokens. */
  readonly numTokens: number;
  /** By group: what the first query behind the prefix sees; null where it has to be loaded. */
  readonly blocks: readonly (readonly (Block | null)[])[];
  /** Those of them that are free now, and will not be any more. */
  readonly numFreeBlocks: number;
  /** Those that have to be loaded. */
  readonly numMissingBlocks: number;
}

/** An entry of a row's block table in one group. */
export interface BlockEntry {
  readonly group: number;
  readonly index: number;
  readonly blockId: number;
}

interface Row {
  readonly tables: readonly BlockTable[];
  /** Blocks from the beginning that were published, or came from the prefix cache. */
  numPublishedBlocks: number;
}

/**
 * Gives requests their blocks: one table a row and KV cache group, all over one pool. Positions of a request:
 *
 *     0            firstVisible        processed          computed         computed + numNewTokens
 *     |  null blocks  |  held: readable  |  held: in flight  |  allocateSlots finds these  |
 *     '- sliding only '
 *     |  published: full blocks before min(computed, known)      |
 *
 * processed = computed - in flight. No step that is in flight or still to come has a query before `processed`, so a
 * sliding group needs nothing before that query's window. Judging by `computed` instead would free blocks under a
 * step that still reads them.
 */
export class KvCacheManager {
  readonly #geometry: KvGeometry;
  readonly #pool: BlockPool;
  readonly #rows = new Map<number, Row>();
  readonly leases: BlockLeases;

  constructor(geometry: KvGeometry, numBlocks: number) {
    this.#geometry = geometry;
    this.#pool = new BlockPool(numBlocks);
    this.leases = new BlockLeases(this.#pool);
  }

  get numUsableBlocks(): number {
    return this.#pool.numUsableBlocks;
  }

  get numFreeBlocks(): number {
    return this.#pool.numFreeBlocks;
  }

  /** Blocks that a request can hit. */
  get numCachedBlocks(): number {
    return this.#pool.numCachedBlocks;
  }

  /** Ids of the free blocks in the order in which they will be handed out. */
  get freeBlockIds(): number[] {
    return this.#pool.freeBlockIds;
  }

  /** Blocks looked up, touched, handed out or given back since the cache was made. */
  get numVisitedBlocks(): number {
    return this.#pool.numVisited;
  }

  /** Whether the prefix cache has a request's block, whose ids must all be known. */
  isCached({ prefixHashes }: KvRequest, group: number, index: number): boolean {
    return prefixHashes !== null && this.#pool.lookup(kvKey(group, prefixHashes.at(index))) !== undefined;
  }

  /** The longest cached prefix of a request that leaves it one token to compute: without one there are no logits. */
  findPrefix(request: KvRequest): PrefixHit {
    const maxBlocks = request.prefixHashes ? Math.floor((request.numTokens - 1) / this.#geometry.blockSize) : 0;
    const isCached = (group: number, index: number) => this.isCached(request, group, index);
    return this.prefixOf(request, longestPrefix(this.#geometry, maxBlocks, isCached));
  }

  /** A prefix of `numBlocks` blocks, parts of which may have to be loaded. */
  prefixOf({ prefixHashes }: KvRequest, numBlocks: number): PrefixHit {
    const { blockSize, groups } = this.#geometry;
    const blocks = groups.map(({ window }, group) => {
      const first = firstBlockSeen(window, blockSize, numBlocks);
      return Array.from(
        { length: numBlocks - first },
        (_, i) => this.#pool.lookup(kvKey(group, prefixHashes!.at(first + i))) ?? null,
      );
    });
    return {
      numTokens: numBlocks * blockSize,
      blocks,
      numFreeBlocks: blocks.flat().filter((block) => block?.refCount === 0).length,
      numMissingBlocks: blocks.flat().filter((block) => block === null).length,
    };
  }

  /**
   * Begins a row's block tables with a hit's blocks: those of all groups are held before anything is allocated. Blocks
   * for what is missing are taken from the pool, which must have them; returns their entries, by index.
   */
  admit(row: number, hit: PrefixHit): BlockEntry[] {
    assert(!this.#rows.has(row), () => `row ${row} has block tables already`);
    const numBlocks = hit.numTokens / this.#geometry.blockSize;
    this.#pool.touch(hit.blocks.flat().filter((block) => block !== null));
    const missing = this.#pool.allocate(hit.numMissingBlocks);
    assert(missing, () => `${hit.numMissingBlocks} blocks are to be loaded, ${this.numFreeBlocks} are free`);
    const entries: BlockEntry[] = [];
    const tables = hit.blocks.map((found, group) => {
      const firstIndex = numBlocks - found.length;
      const table = new BlockTable(this.#pool.nullBlock, firstIndex);
      found.forEach((block, i) => {
        const entry = block ?? missing.shift()!;
        if (!block) entries.push({ group, index: firstIndex + i, blockId: entry.blockId });
        table.append([entry]);
      });
      return table;
    });
    this.#rows.set(row, { tables, numPublishedBlocks: numBlocks });
    return entries.sort((a, b) => a.index - b.index);
  }

  /** Lets others hit what a load has brought to entries of the request's tables. */
  publishLoaded(request: KvRequest, entries: readonly BlockEntry[]): void {
    const { tables } = this.#rowOf(request);
    for (const { group, index } of entries) this.#publishAt(tables[group], group, index, request);
  }

  /** Gives back the blocks that no query sees any more. */
  freeOutOfWindow(request: KvRequest): void {
    const numProcessedTokens = request.numComputedTokens - request.numInFlightTokens;
    const { tables } = this.#rowOf(request);
    this.#geometry.groups.forEach(({ window }, group) => {
      if (window === null) return;
      const firstVisible = Math.max(0, numProcessedTokens - window + 1);
      const dropped = tables[group].dropBefore(Math.floor(firstVisible / this.#geometry.blockSize));
      this.#pool.free(dropped.reverse());
    });
  }

  /** Blocks that `allocateSlots` would take from the pool, over all groups. */
  numNewBlocks(request: KvRequest, numNewTokens: number): number {
    const { tables } = this.#rowOf(request);
    const numEntries = ceilDiv(request.numComputedTokens + numNewTokens, this.#geometry.blockSize);
    // Each group gets as many, because their tables are equally long.
    return tables.length * Math.max(0, numEntries - tables[0].length);
  }

  /**
   * Makes room for positions [numComputedTokens, numComputedTokens + numNewTokens) in every group. Returns the entries
   * that are new since the last call, those of a prefix hit included, or null (and changes nothing) when too few blocks
   * are free. Entries that hold the null block are not reported: they lie before the window, where no kernel reads.
   */
  allocateSlots(request: KvRequest, numNewTokens: number): NewBlocks[] | null {
    const blocks = this.#pool.allocate(this.numNewBlocks(request, numNewTokens));
    if (blocks === null) return null;
    const { tables } = this.#rowOf(request);
    const numPerGroup = blocks.length / tables.length;
    return tables.flatMap((table, group) => {
      table.append(blocks.slice(group * numPerGroup, (group + 1) * numPerGroup));
      const entries = table.takeNewEntries();
      return entries ? [{ group, ...entries }] : [];
    });
  }

  /**
   * Lets others hit the request's full blocks that are written (by steps that will run before any of theirs) and whose
   * ids are known. A window may have gone over a block before its last id was known; it is lost to the cache.
   */
  publish(request: KvRequest): void {
    if (!request.prefixHashes) return;
    const row = this.#rowOf(request);
    const numFullBlocks = Math.floor(numStorableTokens(request) / this.#geometry.blockSize);
    for (let index = row.numPublishedBlocks; index < numFullBlocks; index++) {
      row.tables.forEach((table, group) => {
        this.#publishAt(table, group, index, request);
      });
    }
    row.numPublishedBlocks = Math.max(row.numPublishedBlocks, numFullBlocks);
  }

  /** The block that the request holds at an entry; null where the entry holds the null block or does not exist. */
  blockAt(request: KvRequest, group: number, index: number): number | null {
    return this.#rowOf(request).tables[group].heldAt(index)?.blockId ?? null;
  }

  /** Blocks that leases alone hold: their requests have lost or left them. */
  get numBlocksOnlyLeased(): number {
    return numHeldOnlyBy(countEach(this.leases.blocks));
  }

  /** Chunks of the prefix cache that lose a block when the next `numBlocks` blocks are handed out. */
  nextEvicted(numBlocks: number): CachedChunk[] {
    return this.#pool.nextEvicted(numBlocks);
  }

  /** Gives back all blocks of a row. No step that names them may be unprocessed. */
  free(row: number): void {
    this.#pool.free(this.#heldBlocks(row));
    this.#rows.delete(row);
  }

  /** Takes the blocks of a row out of the prefix cache, because what they hold is not to be believed. */
  evict(row: number): void {
    this.#pool.evict(this.#heldBlocks(row));
  }

  /** Empties the prefix cache; nobody loses a block. */
  resetPrefixCache(): void {
    this.#pool.resetPrefixCache();
  }

  /** Blocks that these rows hold and no others: what becomes free with them. */
  numBlocksHeldByOnly(rows: readonly number[]): number {
    return numHeldOnlyBy(countEach(rows.flatMap((row) => this.#heldBlocks(row))));
  }

  /** A row's block table in one group, null blocks (id 0) included. */
  blockIds(row: number, group: number): number[] {
    return this.#rows.get(row)?.tables[group].blockIds ?? [];
  }

  /** Rows that have block tables. */
  get rows(): number[] {
    return [...this.#rows.keys()];
  }

  /** Throws `internal`, with the numbers, unless each block is either free or named by as many tables and leases as it counts. */
  checkIntegrity(): void {
    const held = this.rows.flatMap((row) => this.#heldBlocks(row));
    this.#pool.checkIntegrity(countEach([...held, ...this.leases.blocks]));
  }

  #publishAt(table: BlockTable, group: number, index: number, { prefixHashes, store }: KvRequest): void {
    const block = table.heldAt(index);
    if (!block || !prefixHashes) return;
    const key = kvKey(group, prefixHashes.at(index));
    this.#pool.publish(block, key);
    const { blocksPerChunk } = this.#geometry;
    if ((index + 1) % blocksPerChunk !== 0) return;
    const blocks = Array.from({ length: blocksPerChunk }, (_, i) => table.heldAt(index + 1 - blocksPerChunk + i));
    if (blocks.every((each) => each !== null))
      this.#pool.markChunk({ key, blocks, prefixHashes, lastBlock: index, store });
  }

  #rowOf({ row: index }: KvRequest): Row {
    const row = index === null ? undefined : this.#rows.get(index);
    assert(row, () => `row ${index} has no block tables`);
    return row;
  }

  /** Tail first, so that the prefix cache loses the end of a chain before its beginning. */
  #heldBlocks(index: number): Block[] {
    const row = this.#rows.get(index);
    assert(row, () => `row ${index} has no block tables`);
    const blocks: Block[] = [];
    for (let entry = row.tables[0].length - 1; entry >= 0; entry--) {
      for (const table of row.tables) {
        const block = table.heldAt(entry);
        if (block) blocks.push(block);
      }
    }
    return blocks;
  }
}

function countEach(blocks: readonly Block[]): Map<Block, number> {
  const counts = new Map<Block, number>();
  for (const block of blocks) counts.set(block, (counts.get(block) ?? 0) + 1);
  return counts;
}

/** Blocks that nobody names but those who are counted here. */
function numHeldOnlyBy(references: ReadonlyMap<Block, number>): number {
  return [...references].filter(([block, count]) => block.refCount === count).length;
}
