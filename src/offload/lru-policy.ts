import type { KvKey } from "../kv/chunk";
import type { EvictionPolicy } from "./eviction-policy";
import { RecencyList } from "./recency-list";

/** Evicts what was used longest ago. */
export class LruPolicy implements EvictionPolicy {
  readonly #chunks = new RecencyList();

  get size(): number {
    return this.#chunks.size;
  }

  get numIdle(): number {
    return this.#chunks.numIdle;
  }

  /** Chunks that evictions looked at since the policy was made. */
  get numVisited(): number {
    return this.#chunks.numVisited;
  }

  /** All chunks, the least recently used first. */
  get keys(): readonly KvKey[] {
    return this.#chunks.keys;
  }

  insert(keys: readonly KvKey[]): void {
    for (const key of keys.toReversed()) this.#chunks.append(key, "writing");
  }

  markStored(key: KvKey): void {
    this.#chunks.setUse(key, "idle");
  }

  pin(key: KvKey): void {
    this.#chunks.setUse(key, "pinned");
  }

  unpin(key: KvKey): void {
    this.#chunks.append(key, "idle");
  }

  remove(key: KvKey): void {
    this.#chunks.delete(key);
  }

  touch(keys: readonly KvKey[]): void {
    for (const key of keys.toReversed()) {
      const use = this.#chunks.use(key);
      if (use) this.#chunks.append(key, use);
    }
  }

  evict(numChunks: number, protectedKeys: ReadonlySet<KvKey>): readonly KvKey[] | null {
    if (numChunks > this.numIdle) return null;
    const victims: KvKey[] = [];
    const idle = this.#chunks.idle();
    while (victims.length < numChunks) {
      const { value: key } = idle.next();
      if (key === undefined) return null;
      if (!protectedKeys.has(key)) victims.push(key);
    }
    for (const key of victims) this.#chunks.delete(key);
    return victims;
  }

  clear(): void {
    this.#chunks.clear();
  }
}
