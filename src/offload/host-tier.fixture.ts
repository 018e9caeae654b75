import { afterEach } from "vitest";
import { policyOf } from "./arc-policy";
import { HostManager, type HostManagerOptions } from "./host-manager";

const tiers: HostTier[] = [];

afterEach(() => {
  for (const tier of tiers.splice(0)) tier.checkIntegrity();
});

/**
 * A host manager as tests drive it. Keys are single letters: "abc" are three of them, the head of a prefix first. Its
 * books are checked after the test. 4 slots, LRU, no filter and no end of memory unless told otherwise.
 */
export interface HostTierOptions extends Partial<Omit<HostManagerOptions, "evictionPolicy">> {
  readonly evictionPolicy?: "lru" | "arc";
}

export class HostTier {
  readonly manager: HostManager;
  nowMs = 0;
  /** Of the latest store of each key. */
  readonly #slotIds = new Map<string, number>();
  #numPending = 0;
  #numReaders = 0;

  constructor({ evictionPolicy = "lru", ...options }: HostTierOptions = {}) {
    this.manager = new HostManager({
      recordsEvents: true,
      numSlots: 4,
      evictionPolicy: policyOf(evictionPolicy),
      storeThreshold: 0,
      reserveSlot: () => true,
      now: () => this.nowMs,
      ...options,
    });
    tiers.push(this);
  }

  /** "a0 b1": what was accepted, with slots; then what was present, then what was refused. */
  prepareStore(keys: string): [accepted: string, present: string, refused: string] {
    const { accepted, present, refused } = this.manager.prepareStore([...keys]);
    for (const { key, slotId } of accepted) this.#slotIds.set(key, slotId);
    this.#numPending += accepted.length;
    return [accepted.map(({ key, slotId }) => `${key}${slotId}`).join(" "), present.join(""), refused.join("")];
  }

  /** Ends the latest store of each key. */
  completeStore(keys: string, success = true): void {
    for (const key of keys) this.completeSlot(this.#slotIds.get(key)!, success);
  }

  completeSlot(slotId: number, success = true): void {
    this.manager.completeStore(slotId, success);
    this.#numPending -= 1;
  }

  /** Both phases, of what is accepted; which is "a0 b1", as above. */
  store(keys: string): string {
    const [accepted] = this.prepareStore(keys);
    this.completeStore(accepted.replaceAll(/[\d ]/g, ""));
    return accepted;
  }

  prepareLoad(keys: string): readonly number[] {
    const slotIds = this.manager.prepareLoad([...keys]);
    this.#numReaders += slotIds.length;
    return slotIds;
  }

  completeLoad(slotIds: readonly number[]): void {
    this.manager.completeLoad(slotIds);
    this.#numReaders -= slotIds.length;
  }

  /** "hit hit pending miss", one for each key. */
  lookup(keys: string): string {
    return Array.from(keys, (key) => this.manager.lookup(key)).join(" ");
  }

  /** "stored a, evicted b": what happened since the last call. */
  takeEvents(): string {
    return this.manager
      .takeEvents()
      .map(({ kind, key }) => `${kind} ${key}`)
      .join(", ");
  }

  /** Free, pending, idle, pinned. */
  get slots(): [numFree: number, numPending: number, numIdle: number, numPinned: number] {
    const { numFreeSlots, numPendingSlots, numIdleSlots, numPinnedSlots } = this.manager.stats;
    return [numFreeSlots, numPendingSlots, numIdleSlots, numPinnedSlots];
  }

  checkIntegrity(): void {
    this.manager.checkIntegrity({ numPending: this.#numPending, numReaders: this.#numReaders });
  }
}
