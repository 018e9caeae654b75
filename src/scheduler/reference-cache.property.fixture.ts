import type { KvGeometry } from "../kv/geometry";
import { assert } from "../util/errors";
import type { Life } from "./life.property.fixture";
import type { RareEvents } from "./rare-events.property.fixture";

/**
 * What the prefix cache must hold, kept the plain way: exact prefixes for hashes, and every length tried, longest first,
 * for the fixed point. It is told which block was handed out, and tells which block a hit must give.
 */
export class ReferenceCache {
  readonly #geometry: KvGeometry;
  readonly #events: RareEvents;
  readonly #blockIds = new Map<number, number>();
  readonly #keys = new Map<number, number>();

  constructor(geometry: KvGeometry, events: RareEvents) {
    this.#geometry = geometry;
    this.#events = events;
  }

  /** Blocks that a request with `numTokens` known tokens must find: at most all but its last token. */
  longestHit(life: Life, numTokens: number): number {
    const { blockSize, groups } = this.#geometry;
    const isHit = (numBlocks: number, group: number) =>
      range(this.firstSeen(numBlocks, group), numBlocks).every(
        (index) => this.blockAt(life, group, index) !== undefined,
      );
    const lengths = range(0, life.usesCache ? Math.floor((numTokens - 1) / blockSize) + 1 : 1).reverse();
    const longest = lengths.find((numBlocks) => groups.every((_, group) => isHit(numBlocks, group)))!;
    const fullGroups = groups.flatMap(({ window }, group) => (window === null ? [group] : []));
    const longestFull = lengths.find((numBlocks) => fullGroups.every((group) => isHit(numBlocks, group)))!;
    const isShortened = fullGroups.length > 0 && longest < longestFull;
    if (isShortened) this.#events.count("a window group shortens the hit of a hybrid model");
    return longest;
  }

  /** The first block that the query behind a block boundary sees. */
  firstSeen(numBlocks: number, group: number): number {
    const { blockSize, groups } = this.#geometry;
    const { window } = groups[group];
    return window === null ? 0 : Math.max(0, Math.floor((numBlocks * blockSize - window + 1) / blockSize));
  }

  blockAt(life: Life, group: number, index: number): number | undefined {
    return this.#blockIds.get(this.#key(life, group, index));
  }

  /** The block gets new contents: nobody may find the old ones any more. */
  handOut(blockId: number): void {
    if (this.#keys.has(blockId)) this.#events.count("a cached block is evicted");
    this.forget([blockId]);
  }

  /** Makes known what the life has written and the CPU knows. The first block of a name keeps it. */
  publish(life: Life, numTokens: number): void {
    if (!life.usesCache) return;
    for (const index of life.takeUnpublished(numTokens, this.#geometry.blockSize)) {
      life.blockTables.forEach((table, group) => {
        assert(index >= life.firstHeld[group], "a block left its window before its last id was known");
        const key = this.#key(life, group, index);
        if (this.#blockIds.has(key)) this.#events.count("a duplicate block is not published");
        else {
          this.#blockIds.set(key, table[index]);
          this.#keys.set(table[index], key);
        }
      });
    }
  }

  forget(blockIds: readonly number[]): void {
    for (const blockId of blockIds) {
      const key = this.#keys.get(blockId);
      if (key !== undefined) this.#blockIds.delete(key);
      this.#keys.delete(blockId);
    }
  }

  reset(): void {
    this.#blockIds.clear();
    this.#keys.clear();
  }

  /** Gives up what no query of the life sees any more, judged by processed tokens. */
  leaveWindow(life: Life): void {
    this.#geometry.groups.forEach(({ window }, group) => {
      if (window === null) return;
      const firstVisible = Math.max(0, life.numProcessedTokens - window + 1);
      const first = Math.min(Math.floor(firstVisible / this.#geometry.blockSize), life.blockTables[group].length);
      if (first <= life.firstHeld[group]) return;
      this.#events.count("a block leaves its window");
      life.firstHeld[group] = first;
    });
  }

  #key(life: Life, group: number, index: number): number {
    const { blockSize, groups } = this.#geometry;
    return life.expected.prefixId((index + 1) * blockSize - 1) * groups.length + group;
  }
}

function range(start: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
}
