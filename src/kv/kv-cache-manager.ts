import { assert } from "../util/errors";
import { ceilDiv } from "../util/math";
import type { Block } from "./block";
import { BlockPool } from "./block-pool";
import { BlockTable } from "./block-table";
import { BLOCK_SIZE, type KvGeometry, maxBlocksHeld } from "./geometry";

/** What the cache has to know of a request. */
export interface KvRequest {
  readonly requestId: string;
  /** Positions that submitted steps fill. */
  readonly numComputedTokens: number;
  /** Those of them whose step was not processed yet. */
  readonly numInFlightTokens: number;
}

/** New entries [firstIndex, firstIndex + blockIds.length) of a request's block table in one group. */
export interface NewBlocks {
  readonly group: number;
  readonly firstIndex: number;
  readonly blockIds: readonly number[];
}

/**
 * Gives requests their blocks: one table a request and KV cache group, all over one pool. Positions of a request:
 *
 *     0            firstVisible        processed          computed         computed + numNewTokens
 *     |  null blocks  |  held: readable  |  held: in flight  |  allocateSlots finds these  |
 *     '- sliding only '
 *
 * processed = computed - in flight. No step that is in flight or still to come has a query before `processed`, so a
 * sliding group needs nothing before that query's window. Judging by `computed` instead would free blocks under a
 * step that still reads them.
 */
export class KvCacheManager {
  readonly #geometry: KvGeometry;
  readonly #pool: BlockPool;
  readonly #tables = new Map<string, readonly BlockTable[]>();

  constructor(geometry: KvGeometry, numBlocks: number) {
    this.#geometry = geometry;
    this.#pool = new BlockPool(numBlocks);
  }

  get numUsableBlocks(): number {
    return this.#pool.numUsableBlocks;
  }

  get numFreeBlocks(): number {
    return this.#pool.numFreeBlocks;
  }

  /** Ids of the free blocks in the order in which they will be handed out. */
  get freeBlockIds(): number[] {
    return this.#pool.freeBlockIds;
  }

  /** The most blocks held at once by a request that writes `numTokens` positions in chunks of `maxChunkTokens`. */
  numBlocksNeeded(numTokens: number, maxChunkTokens: number): number {
    return maxBlocksHeld(this.#geometry, numTokens, maxChunkTokens);
  }

  /**
   * Makes room for positions [numComputedTokens, numComputedTokens + numNewTokens) in every group, after giving back
   * what left a window. Returns the entries that are new, or null (and no new entries) when too few blocks are free.
   * Entries that became null are not reported: they lie before the window, where no kernel reads.
   */
  allocateSlots(request: KvRequest, numNewTokens: number): NewBlocks[] | null {
    const tables = this.#tables.get(request.requestId) ?? this.#makeTables();
    this.#freeOutOfWindow(tables, request.numComputedTokens - request.numInFlightTokens);
    const numEntries = ceilDiv(request.numComputedTokens + numNewTokens, BLOCK_SIZE);
    const numMissing = tables.map((table) => Math.max(0, numEntries - table.length));
    const blocks = this.#pool.allocate(numMissing.reduce((sum, count) => sum + count, 0));
    if (blocks === null) return null;

    this.#tables.set(request.requestId, tables);
    return tables.flatMap((table, group) => {
      const firstIndex = table.length;
      const added = blocks.splice(0, numMissing[group]);
      table.append(added);
      return added.length === 0 ? [] : [{ group, firstIndex, blockIds: added.map((block) => block.blockId) }];
    });
  }

  /** Gives back all blocks of a request. No step that names them may be unprocessed. */
  free(requestId: string): void {
    const tables = this.#tables.get(requestId);
    assert(tables, () => `request ${requestId} has no block tables`);
    for (const table of tables) this.#pool.free(table.heldBlocks);
    this.#tables.delete(requestId);
  }

  /** Blocks that a request holds now, over all groups; 0 for a request without tables. */
  numHeldBlocks(requestId: string): number {
    return (this.#tables.get(requestId) ?? []).reduce((sum, table) => sum + table.heldBlocks.length, 0);
  }

  /** A request's block table in one group, null blocks (id 0) included. */
  blockIds(requestId: string, group: number): number[] {
    return this.#tables.get(requestId)?.[group].blockIds ?? [];
  }

  /** Ids of the requests that have block tables. */
  get requestIds(): string[] {
    return [...this.#tables.keys()];
  }

  /** Throws `internal`, with the numbers, unless each block is either free or named by as many tables as it counts. */
  checkIntegrity(): void {
    const references = new Map<Block, number>();
    for (const tables of this.#tables.values()) {
      for (const block of tables.flatMap((table) => table.heldBlocks)) {
        references.set(block, (references.get(block) ?? 0) + 1);
      }
    }
    this.#pool.checkIntegrity(references);
  }

  #makeTables(): BlockTable[] {
    return this.#geometry.groups.map(() => new BlockTable(this.#pool.nullBlock));
  }

  #freeOutOfWindow(tables: readonly BlockTable[], numProcessedTokens: number): void {
    this.#geometry.groups.forEach(({ window }, group) => {
      if (window === null) return;
      const firstVisible = Math.max(0, numProcessedTokens - window + 1);
      this.#pool.free(tables[group].dropBefore(Math.floor(firstVisible / BLOCK_SIZE)));
    });
  }
}
