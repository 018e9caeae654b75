import type { KvKey } from "../kv/chunk";

const MAX_TRACKED_KEYS = 64_000;

/**
 * Counts how often each chunk was seen, to tell those worth storing. It keeps track of so many keys at most; whatever
 * was seen longest ago is forgotten and starts from zero.
 */
export class ReuseFilter {
  readonly #threshold: number;
  readonly #maxTrackedKeys: number;
  /** Sightings by key, the key seen longest ago first. */
  readonly #counts = new Map<KvKey, number>();

  constructor(threshold: number, maxTrackedKeys = MAX_TRACKED_KEYS) {
    this.#threshold = threshold;
    this.#maxTrackedKeys = maxTrackedKeys;
  }

  get numTrackedKeys(): number {
    return this.#counts.size;
  }

  /** Counts one sighting of each key, the head of a prefix first: its tail is forgotten first. Returns those that reached the threshold by it. */
  sight(keys: readonly KvKey[]): readonly KvKey[] {
    const reached: KvKey[] = [];
    for (const key of keys.toReversed()) {
      const count = (this.#counts.get(key) ?? 0) + 1;
      this.#counts.delete(key);
      this.#counts.set(key, count);
      if (count === this.#threshold) reached.push(key);
    }
    for (const oldest of this.#counts.keys()) {
      if (this.#counts.size <= this.#maxTrackedKeys) break;
      this.#counts.delete(oldest);
    }
    return reached;
  }

  hasReached(key: KvKey): boolean {
    return (this.#counts.get(key) ?? 0) >= this.#threshold;
  }
}
