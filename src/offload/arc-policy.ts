import type { KvKey } from "../kv/chunk";
import type { EvictionPolicy } from "./eviction-policy";
import { RecencyList } from "./recency-list";

/** The lists of an ARC policy, the least recently used chunk first, and the size of T1 that it aims at. */
export interface ArcState {
  readonly t1: readonly KvKey[];
  readonly t2: readonly KvKey[];
  readonly b1: readonly KvKey[];
  readonly b2: readonly KvKey[];
  readonly target: number;
}

/**
 * Adaptive replacement: T1 holds chunks that were used once, T2 those that were used again, so that one long prompt that
 * never comes back pushes out only its like. B1 and B2 remember what was evicted from each; a chunk that is asked
 * for again shows which of the two was too small, and moves the size that T1 aims at.
 *
 *     B1  <- evicted -  T1  - touched ->  T2  - evicted ->  B2
 *     '-- touched: target up                touched: target down --'
 *     '-------------- stored again: into T1 ----------------------'
 */
export class ArcPolicy implements EvictionPolicy {
  readonly #capacity: () => number;
  readonly #t1 = new RecencyList();
  readonly #t2 = new RecencyList();
  readonly #b1 = new Set<KvKey>();
  readonly #b2 = new Set<KvKey>();
  #target = 0;

  /** `capacity`: chunks that the tier holds at most, now. */
  constructor(capacity: () => number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#t1.size + this.#t2.size;
  }

  get numIdle(): number {
    return this.#t1.numIdle + this.#t2.numIdle;
  }

  /** Chunks that evictions looked at since the policy was made. */
  get numVisited(): number {
    return this.#t1.numVisited + this.#t2.numVisited;
  }

  get state(): ArcState {
    return { t1: this.#t1.keys, t2: this.#t2.keys, b1: [...this.#b1], b2: [...this.#b2], target: this.#target };
  }

  insert(keys: readonly KvKey[]): void {
    for (const key of keys.toReversed()) {
      this.#b1.delete(key);
      this.#b2.delete(key);
      this.#t1.append(key, "writing");
    }
  }

  markStored(key: KvKey): void {
    this.#listOf(key).setUse(key, "idle");
  }

  pin(key: KvKey): void {
    this.#listOf(key).setUse(key, "pinned");
  }

  unpin(key: KvKey): void {
    this.#listOf(key).append(key, "idle");
  }

  remove(key: KvKey): void {
    this.#listOf(key).delete(key);
  }

  touch(keys: readonly KvKey[]): void {
    for (const key of keys.toReversed()) this.#touch(key);
  }

  #touch(key: KvKey): void {
    const use = this.#listOf(key).use(key);
    if (use === "writing") {
      // Whoever computes a chunk also touches it; that is still its first use.
      this.#t1.append(key, use);
    } else if (use) {
      this.#listOf(key).delete(key);
      this.#t2.append(key, use);
    } else if (this.#b1.has(key)) {
      this.#moveTarget(Math.max(1, this.#b2.size / this.#b1.size));
      makeMostRecent(this.#b1, key);
    } else if (this.#b2.has(key)) {
      this.#moveTarget(-Math.max(1, this.#b1.size / this.#b2.size));
      makeMostRecent(this.#b2, key);
    }
  }

  evict(numChunks: number, protectedKeys: ReadonlySet<KvKey>): readonly KvKey[] | null {
    if (numChunks > this.numIdle) return null;
    const t1 = new VictimScan(this.#t1, protectedKeys);
    const t2 = new VictimScan(this.#t2, protectedKeys);
    const victims: KvKey[] = [];
    while (victims.length < numChunks) {
      const [first, second] = t1.numLeft >= this.#target ? [t1, t2] : [t2, t1];
      const victim = first.next() ?? second.next();
      if (victim === null) return null;
      victims.push(victim);
    }
    this.#bury(t1.victims, this.#t1, this.#b1);
    this.#bury(t2.victims, this.#t2, this.#b2);
    return victims;
  }

  clear(): void {
    for (const list of [this.#t1, this.#t2, this.#b1, this.#b2]) list.clear();
    this.#target = 0;
  }

  #listOf(key: KvKey): RecencyList {
    return this.#t2.use(key) ? this.#t2 : this.#t1;
  }

  #moveTarget(by: number): void {
    this.#target = Math.min(Math.max(this.#target + by, 0), this.#capacity());
  }

  #bury(victims: readonly KvKey[], list: RecencyList, ghosts: Set<KvKey>): void {
    for (const key of victims) {
      list.delete(key);
      ghosts.add(key);
    }
    for (const oldest of ghosts) {
      if (ghosts.size <= this.#capacity()) break;
      ghosts.delete(oldest);
    }
  }
}

/** One walk over a list for a whole batch of victims, however many of its chunks are in use. */
class VictimScan {
  readonly victims: KvKey[] = [];
  readonly #list: RecencyList;
  readonly #idle: Generator<KvKey, undefined>;
  readonly #protectedKeys: ReadonlySet<KvKey>;

  constructor(list: RecencyList, protectedKeys: ReadonlySet<KvKey>) {
    this.#list = list;
    this.#idle = list.idle();
    this.#protectedKeys = protectedKeys;
  }

  /** Chunks of the list, but for the victims. */
  get numLeft(): number {
    return this.#list.size - this.victims.length;
  }

  next(): KvKey | null {
    for (;;) {
      const { value: key } = this.#idle.next();
      if (key === undefined) return null;
      if (this.#protectedKeys.has(key)) continue;
      this.victims.push(key);
      return key;
    }
  }
}

function makeMostRecent(keys: Set<KvKey>, key: KvKey): void {
  keys.delete(key);
  keys.add(key);
}

/** As HostManager takes it, where nobody minds the code of both. */
export function policyOf(name: "lru" | "arc"): "lru" | typeof ArcPolicy {
  return name === "arc" ? ArcPolicy : "lru";
}
