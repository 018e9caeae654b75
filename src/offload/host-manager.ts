import type { KvKey } from "../kv/chunk";
import { assert } from "../util/errors";
import type { ArcPolicy } from "./arc-policy";
import { EvictedKeys } from "./evicted-keys";
import type { EvictionPolicy } from "./eviction-policy";
import { LruPolicy } from "./lru-policy";
import type {
  LookupResult,
  OffloadEvent,
  OffloadManager,
  OffloadManagerStats,
  PreparedStore,
  StoreSlot,
} from "./offload-manager";
import { ReuseFilter } from "./reuse-filter";
import { SlotTable } from "./slot-table";
import { StoreEpoch } from "./store-epoch";

export interface HostManagerOptions {
  /** Chunks that the tier holds at most. */
  readonly numSlots: number;
  /** The class of the other one, so that nobody has its code who does not want it. */
  readonly evictionPolicy: "lru" | typeof ArcPolicy;
  /** A chunk is stored from its so-manieth sighting on; 0 and 1: always. */
  readonly storeThreshold: number;
  /** Chunks whose sightings are counted; 64,000 unless given. */
  readonly maxTrackedKeys?: number;
  /** Gives a slot its memory, before it is used for the first time and in the order of ids; false where there is none. */
  readonly reserveSlot: (slotId: number) => boolean;
  /** A clock in milliseconds. */
  readonly now: () => number;
  /** Keep events until somebody takes them; false unless given, for who does not take them would lose memory. */
  readonly recordsEvents?: boolean;
}

/**
 * The host tier's books. A slot in the life of its chunk:
 *
 *     free -- prepareStore --> pending -- completeStore(true) --> idle -- prepareLoad --> pinned
 *      ^                          |                               ^ |                       |
 *      |--- completeStore(false) -'                               | |                       |
 *      |--------------------------------------------- evicted ------'                       |
 *      |                                                          '--- last completeLoad ---'
 *
 * A chunk that is forgotten is gone at once. Its slot comes free at once if it is idle, else with its last job.
 */
export class HostManager implements OffloadManager {
  readonly storage = null;
  readonly #slots: SlotTable;
  /** Every chunk that has not been forgotten. */
  readonly #slotIds = new Map<KvKey, number>();
  readonly #policy: EvictionPolicy;
  readonly #filter: ReuseFilter | null;
  readonly #evictedKeys: EvictedKeys;
  readonly #storeEpoch = new StoreEpoch();
  readonly #recordsEvents: boolean;
  #events: OffloadEvent[] = [];
  #numEvictions = 0;

  constructor(options: HostManagerOptions) {
    const { numSlots, evictionPolicy, storeThreshold, maxTrackedKeys, reserveSlot, now } = options;
    this.#slots = new SlotTable(numSlots, reserveSlot);
    this.#policy = evictionPolicy === "lru" ? new LruPolicy() : new evictionPolicy(() => this.#slots.numSlots);
    this.#filter = storeThreshold > 1 ? new ReuseFilter(storeThreshold, maxTrackedKeys) : null;
    this.#evictedKeys = new EvictedKeys(now);
    this.#recordsEvents = options.recordsEvents ?? false;
  }

  get storeEpoch(): number {
    return this.#storeEpoch.value;
  }

  sight(keys: readonly KvKey[]): void {
    const reached = this.#filter?.sight(keys) ?? [];
    if (reached.some((key) => !this.#slotIds.has(key))) this.#storeEpoch.improve("unseen");
  }

  lookup(key: KvKey): LookupResult {
    const slotId = this.#slotIds.get(key);
    if (slotId !== undefined) return this.#slots.at(slotId).state === "pending" ? "pending" : "hit";
    this.#evictedKeys.ask(key);
    return "miss";
  }

  /** Of a chunk that is here or on its way; null of any other. */
  slotIdOf(key: KvKey): number | null {
    return this.#slotIds.get(key) ?? null;
  }

  touch(keys: readonly KvKey[]): void {
    this.#policy.touch(keys);
  }

  prepareLoad(keys: readonly KvKey[]): readonly number[] {
    for (const key of keys) {
      const state = this.lookup(key);
      assert(state === "hit", () => `chunk ${key} cannot be loaded: it is a ${state}`);
    }
    return keys.map((key) => {
      const slotId = this.#slotIds.get(key)!;
      const slot = this.#slots.at(slotId);
      const numReaders = slot.state === "pinned" ? slot.numReaders : 0;
      this.#slots.set(slotId, { state: "pinned", key, numReaders: numReaders + 1 });
      if (numReaders === 0) this.#policy.pin(key);
      return slotId;
    });
  }

  completeLoad(slotIds: readonly number[]): void {
    // Backwards, so that of a prefix the head is the one that was used last.
    for (const slotId of slotIds.toReversed()) this.#removeReader(slotId);
  }

  #removeReader(slotId: number): void {
    const slot = this.#slots.at(slotId);
    assert(slot.state === "pinned", () => `slot ${slotId} is ${slot.state}: nobody reads it`);
    const { key, numReaders } = slot;
    if (numReaders > 1) {
      this.#slots.set(slotId, { state: "pinned", key, numReaders: numReaders - 1 });
      return;
    }
    this.#slots.set(slotId, key === null ? { state: "free" } : { state: "idle", key });
    if (key !== null) this.#policy.unpin(key);
    this.#storeEpoch.improve("noSlot");
  }

  /** `isFiltered` false: chunks that were not seen often enough get slots too. */
  prepareStore(keys: readonly KvKey[], isFiltered = true): PreparedStore {
    const named = new Set(keys);
    const present = [...named].filter((key) => this.#slotIds.has(key));
    const absent = [...named].filter((key) => !this.#slotIds.has(key));
    for (const key of absent) this.#evictedKeys.ask(key);
    const storable = absent.filter((key) => !isFiltered || (this.#filter?.hasReached(key) ?? true));
    const accepted = this.#takeSlots(storable, named);
    this.#policy.insert(accepted.map(({ key }) => key));
    this.#storeEpoch.refuse("unseen", absent.length - storable.length);
    this.#storeEpoch.refuse("noSlot", storable.length - accepted.length);
    return { accepted, present, refused: absent.filter((key) => !this.#slotIds.has(key)) };
  }

  /** Slots for the first of `keys`, as many as there are; chunks in `named` keep theirs. */
  #takeSlots(keys: readonly KvKey[], named: ReadonlySet<KvKey>): StoreSlot[] {
    const taken: StoreSlot[] = [];
    const takeFree = () => {
      for (const key of keys.slice(taken.length)) {
        const slotId = this.#slots.take(key);
        if (slotId === null) return;
        taken.push({ key, slotId });
      }
    };
    takeFree();
    if (taken.length < keys.length) {
      this.#evict(keys.length - taken.length, named);
      takeFree();
    }
    for (const { key, slotId } of taken) this.#slotIds.set(key, slotId);
    return taken;
  }

  /** Slots that a `prepareStore` of these keys and others would find for the others, while memory lasts. */
  numSlotsBeside(keys: ReadonlySet<KvKey>): number {
    return this.#slots.count("free") + this.#numEvictable(keys);
  }

  #numEvictable(protectedKeys: ReadonlySet<KvKey>): number {
    const isIdle = (key: KvKey) => {
      const slotId = this.#slotIds.get(key);
      return slotId !== undefined && this.#slots.at(slotId).state === "idle";
    };
    return this.#policy.numIdle - [...protectedKeys].filter(isIdle).length;
  }

  /** At most `maxChunks`. */
  #evict(maxChunks: number, protectedKeys: ReadonlySet<KvKey>): void {
    const numChunks = Math.min(maxChunks, this.#numEvictable(protectedKeys));
    if (numChunks === 0) return;
    const evicted = this.#policy.evict(numChunks, protectedKeys);
    assert(evicted?.length === numChunks, () => `${numChunks} chunks are idle, but cannot be evicted`);
    for (const key of evicted) {
      this.#slots.set(this.#slotIds.get(key)!, { state: "free" });
      this.#slotIds.delete(key);
      this.#evictedKeys.add(key);
      this.#record({ kind: "evicted", key });
    }
    this.#numEvictions += numChunks;
  }

  completeStore(slotId: number, success: boolean): void {
    const slot = this.#slots.at(slotId);
    assert(slot.state === "pending", () => `slot ${slotId} is ${slot.state}: nobody writes to it`);
    const { key } = slot;
    if (key !== null && success) {
      this.#slots.set(slotId, { state: "idle", key });
      this.#policy.markStored(key);
      this.#record({ kind: "stored", key });
    } else {
      if (key !== null) this.#forget(key, slotId);
      this.#slots.set(slotId, { state: "free" });
    }
    this.#storeEpoch.improve("noSlot");
  }

  discard(keys: readonly KvKey[]): void {
    for (const key of keys) {
      const slotId = this.#slotIds.get(key);
      if (slotId !== undefined) this.#forget(key, slotId);
    }
  }

  /** What was sighted stays known, for that is no chunk. */
  clear(): void {
    for (const [key, slotId] of [...this.#slotIds]) this.#forget(key, slotId);
    this.#policy.clear();
    this.#evictedKeys.clear();
  }

  #forget(key: KvKey, slotId: number): void {
    const slot = this.#slots.at(slotId);
    this.#slotIds.delete(key);
    this.#policy.remove(key);
    if (slot.state !== "pending") this.#record({ kind: "evicted", key });
    if (slot.state === "pending" || slot.state === "pinned") {
      this.#slots.set(slotId, { ...slot, key: null });
      return;
    }
    this.#slots.set(slotId, { state: "free" });
    this.#storeEpoch.improve("noSlot");
  }

  #record(event: OffloadEvent): void {
    if (this.#recordsEvents) this.#events.push(event);
  }

  takeEvents(): readonly OffloadEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  get stats(): OffloadManagerStats {
    return {
      numSlots: this.#slots.numSlots,
      numFreeSlots: this.#slots.count("free"),
      numPendingSlots: this.#slots.count("pending"),
      numIdleSlots: this.#slots.count("idle"),
      numPinnedSlots: this.#slots.count("pinned"),
      numEvictions: this.#numEvictions,
      numRefusedNoSlot: this.#storeEpoch.numRefused.noSlot,
      numRefusedUnseen: this.#storeEpoch.numRefused.unseen,
      numReusedAfterEviction: this.#evictedKeys.numReused,
      sumEvictToReuseMs: this.#evictedKeys.sumGapMs,
    };
  }

  checkIntegrity(expected: { readonly numPending: number; readonly numReaders: number }): void {
    const slots = this.#slots;
    const numChunks = this.#slotIds.size;
    slots.checkIntegrity({ numChunks, ...expected });
    for (const [key, slotId] of this.#slotIds) {
      const slot = slots.at(slotId);
      const isThere = slot.state !== "free" && slot.key === key;
      assert(isThere, () => `slot ${slotId} should hold chunk ${key}: ${JSON.stringify(slot)}`);
    }
    const { size, numIdle } = this.#policy;
    const isKnown = size === numChunks && numIdle === slots.count("idle");
    assert(
      isKnown,
      () => `eviction sees ${size} chunks, ${numIdle} idle, of ${numChunks}, ${slots.count("idle")} idle`,
    );
  }
}
