import type { KvKey } from "../kv/chunk";
import { assert } from "../util/errors";

export type ChunkUse = "writing" | "idle" | "pinned";

/** Chunks in the order of their last use, the least recently used first. All is O(1) but for the walk over the idle ones. */
export class RecencyList {
  readonly #uses = new Map<KvKey, ChunkUse>();
  #numIdle = 0;
  /** Chunks that walks over the idle ones came by. */
  numVisited = 0;

  get size(): number {
    return this.#uses.size;
  }

  get numIdle(): number {
    return this.#numIdle;
  }

  get keys(): KvKey[] {
    return [...this.#uses.keys()];
  }

  use(key: KvKey): ChunkUse | undefined {
    return this.#uses.get(key);
  }

  /** Makes the chunk the most recently used one, whether it was here or not. */
  append(key: KvKey, use: ChunkUse): void {
    if (this.#uses.has(key)) this.delete(key);
    this.#uses.set(key, use);
    if (use === "idle") this.#numIdle += 1;
  }

  /** The chunk keeps its place. */
  setUse(key: KvKey, use: ChunkUse): void {
    this.#numIdle += Number(use === "idle") - Number(this.#useOf(key) === "idle");
    this.#uses.set(key, use);
  }

  delete(key: KvKey): void {
    if (this.#useOf(key) === "idle") this.#numIdle -= 1;
    this.#uses.delete(key);
  }

  clear(): void {
    this.#uses.clear();
    this.#numIdle = 0;
  }

  *idle(): Generator<KvKey, undefined> {
    for (const [key, use] of this.#uses) {
      this.numVisited += 1;
      if (use === "idle") yield key;
    }
  }

  #useOf(key: KvKey): ChunkUse {
    const use = this.#uses.get(key);
    assert(use !== undefined, () => `chunk ${key} has no place in the order of eviction`);
    return use;
  }
}
