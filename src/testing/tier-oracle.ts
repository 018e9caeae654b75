import type { KvGeometry } from "../kv/geometry";
import type { SchedulerOutput } from "../scheduler/scheduler-output";

/** What a request must find, and where. */
export interface TierTokens {
  readonly gpu: number;
  /** Tokens of which any group's KV has to be loaded. */
  readonly host: number;
  /** Blocks that are copied to the GPU for it. */
  readonly numBlocksLoaded: number;
}

/**
 * Which tier has which prefix, found out from nothing but what was submitted: blocks that were written, handed out again, copied
 * out and copied in. Content goes by whole prefixes of ids, and every length of a hit is tried, longest first: no
 * hashes, no queue, no fixed point. It follows requests that run one after the other, each to its end, stores included.
 */
export class TierOracle {
  readonly #geometry: KvGeometry;
  /** What each GPU block holds. One that was handed out and is not full yet has no name. */
  readonly #blocks = new Map<number, string>();
  readonly #slots = new Map<number, readonly string[]>();

  constructor(geometry: KvGeometry) {
    this.#geometry = geometry;
  }

  /** What a request with this prompt must find now. */
  predict(promptIds: readonly number[]): TierTokens {
    const { blockSize, groups } = this.#geometry;
    const onGpu = new Set(this.#blocks.values());
    const inHost = new Set([...this.#slots.values()].flat());
    const isOnGpu = (group: number, index: number) => onGpu.has(this.#nameOf(promptIds, group, index));
    const isThere = (group: number, index: number) =>
      isOnGpu(group, index) || this.#isChunkIn(inHost, promptIds, group, index);
    const numBlocks = this.#longest(promptIds.length, isThere);
    const needed = groups.flatMap((_, group) => this.#seenBehind(numBlocks, group).map((index) => ({ group, index })));
    const loaded = needed.filter(({ group, index }) => !isOnGpu(group, index));
    const numHostBlocks = new Set(loaded.map(({ index }) => index)).size;
    return {
      gpu: (numBlocks - numHostBlocks) * blockSize,
      host: numHostBlocks * blockSize,
      numBlocksLoaded: loaded.length,
    };
  }

  /**
   * Follows the steps of a request that has ended; `tokenIds` is all of it, prompt and output. Returns what is wrong with
   * them, in words: a hit or a store of a block that holds something else.
   */
  follow(steps: readonly SchedulerOutput[], tokenIds: readonly number[]): string[] {
    const { blockSize, groups } = this.#geometry;
    const problems: string[] = [];
    const tables = groups.map(() => new Map<number, number>());
    for (const { transfers, scheduled } of steps) {
      for (const { jobId, blockIds, slotId } of transfers.stores) {
        const names = blockIds.map((blockId) => this.#blocks.get(blockId));
        if (names.includes(undefined)) problems.push(`store ${jobId} copies blocks that are not full`);
        this.#slots.set(slotId, names.map(String));
      }
      for (const { blockId, slotId, blockInChunk } of transfers.loads.flatMap(({ blocks }) => blocks)) {
        this.#blocks.set(blockId, this.#slots.get(slotId)?.[blockInChunk] ?? `an empty slot ${slotId}`);
      }
      for (const { startPosition, numTokens, blockTableUpdates } of scheduled) {
        for (const { group, firstIndex, blockIds } of blockTableUpdates) {
          blockIds.forEach((blockId, i) => {
            const index = firstIndex + i;
            tables[group].set(index, blockId);
            if (index * blockSize >= startPosition) this.#blocks.delete(blockId);
            else if (this.#blocks.get(blockId) !== this.#nameOf(tokenIds, group, index)) {
              problems.push(`block ${index} of group ${group} is hit, but block ${blockId} holds something else`);
            }
          });
        }
        const numFull = Math.floor(Math.min(startPosition + numTokens, tokenIds.length) / blockSize);
        for (let index = Math.floor(startPosition / blockSize); index < numFull; index++) {
          tables.forEach((table, group) => {
            this.#blocks.set(table.get(index) as number, this.#nameOf(tokenIds, group, index));
          });
        }
      }
    }
    return problems;
  }

  /** At most all but the last token. */
  #longest(numTokens: number, isThere: (group: number, index: number) => boolean): number {
    const { blockSize, groups } = this.#geometry;
    for (let numBlocks = Math.floor((numTokens - 1) / blockSize); numBlocks > 0; numBlocks--) {
      const isWhole = (group: number) => this.#seenBehind(numBlocks, group).every((index) => isThere(group, index));
      if (groups.every((_, group) => isWhole(group))) return numBlocks;
    }
    return 0;
  }

  /** The blocks before a boundary that the query behind it sees. */
  #seenBehind(numBlocks: number, group: number): number[] {
    const { blockSize, groups } = this.#geometry;
    const { window } = groups[group];
    const first = window === null ? 0 : Math.max(0, Math.floor((numBlocks * blockSize - window + 1) / blockSize));
    return Array.from({ length: numBlocks - first }, (_, i) => first + i);
  }

  /** A chunk can be asked for only by who knows all of its ids. */
  #isChunkIn(inHost: ReadonlySet<string>, promptIds: readonly number[], group: number, index: number): boolean {
    const { blockSize, blocksPerChunk } = this.#geometry;
    const lastIndex = index - (index % blocksPerChunk) + blocksPerChunk - 1;
    return (lastIndex + 1) * blockSize <= promptIds.length && inHost.has(this.#nameOf(promptIds, group, lastIndex));
  }

  #nameOf(tokenIds: readonly number[], group: number, index: number): string {
    return `${group}: ${tokenIds.slice(0, (index + 1) * this.#geometry.blockSize).join()}`;
  }
}
