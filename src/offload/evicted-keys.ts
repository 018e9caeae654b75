import type { KvKey } from "../kv/chunk";

const MAX_KEYS = 4096;

/** Remembers when chunks were evicted, the latest few, and measures how soon they are asked for again. */
export class EvictedKeys {
  readonly #now: () => number;
  readonly #maxKeys: number;
  /** By key, the one evicted longest ago first. */
  readonly #evictedMs = new Map<KvKey, number>();
  numReused = 0;
  sumGapMs = 0;

  /** `now`: a clock in milliseconds. */
  constructor(now: () => number, maxKeys = MAX_KEYS) {
    this.#now = now;
    this.#maxKeys = maxKeys;
  }

  add(key: KvKey): void {
    this.#evictedMs.set(key, this.#now());
    for (const oldest of this.#evictedMs.keys()) {
      if (this.#evictedMs.size <= this.#maxKeys) break;
      this.#evictedMs.delete(oldest);
    }
  }

  /** A chunk that the tier does not have is asked for. Counts once an eviction. */
  ask(key: KvKey): void {
    const evictedMs = this.#evictedMs.get(key);
    if (evictedMs === undefined) return;
    this.#evictedMs.delete(key);
    this.numReused += 1;
    this.sumGapMs += this.#now() - evictedMs;
  }

  clear(): void {
    this.#evictedMs.clear();
  }
}
