import type { HostManagerOptions } from "./host-manager";
import type { LookupResult } from "./offload-manager";

interface ModelSlot {
  readonly slotId: number;
  /** Null: forgotten. */
  key: string | null;
  isPending: boolean;
  numReaders: number;
}

export type HostModelOptions = Pick<HostManagerOptions, "numSlots" | "storeThreshold"> & {
  readonly evictionPolicy: "lru" | "arc";
  readonly maxTrackedKeys: number;
  /** Slots that there is memory for. */
  readonly numReservable: number;
};

/** What a host manager should do, told again with arrays that are searched from end to end. */
export class HostModel {
  numSlots: number;
  /** In use: all that are not free. */
  slots: ModelSlot[] = [];
  numEvictions = 0;
  numGhostHits = 0;
  readonly #options: HostModelOptions;
  readonly #freed: number[] = [];
  #numUsed = 0;
  /** Sightings, the latest last; a key as often as it counts. */
  #sightings: { readonly key: string; readonly count: number }[] = [];
  /** Without ARC, t1 is all there is. */
  #t1: string[] = [];
  #t2: string[] = [];
  #b1: string[] = [];
  #b2: string[] = [];
  #target = 0;

  constructor(options: HostModelOptions) {
    this.#options = options;
    this.numSlots = options.numSlots;
  }

  get numPending(): number {
    return this.slots.filter(({ isPending }) => isPending).length;
  }

  get numReaders(): number {
    return this.slots.reduce((sum, { numReaders }) => sum + numReaders, 0);
  }

  /** Free, pending, idle, pinned. */
  get gauges(): number[] {
    const numPinned = this.slots.filter(({ numReaders }) => numReaders > 0).length;
    const numIdle = this.slots.length - this.numPending - numPinned;
    return [this.numSlots - this.slots.length, this.numPending, numIdle, numPinned];
  }

  isIdle(key: string): boolean {
    const slot = this.#slotOf(key);
    return slot !== undefined && !slot.isPending && slot.numReaders === 0;
  }

  isSeenEnough(key: string): boolean {
    const { storeThreshold } = this.#options;
    const count = this.#sightings.find((sighting) => sighting.key === key)?.count ?? 0;
    return storeThreshold <= 1 || count >= storeThreshold;
  }

  sight(keys: readonly string[]): void {
    for (const key of keys.toReversed()) {
      const count = this.#sightings.find((sighting) => sighting.key === key)?.count ?? 0;
      this.#sightings = [...this.#sightings.filter((sighting) => sighting.key !== key), { key, count: count + 1 }];
    }
    this.#sightings = this.#sightings.slice(-this.#options.maxTrackedKeys);
  }

  lookup(key: string): LookupResult {
    const slot = this.#slotOf(key);
    return !slot ? "miss" : slot.isPending ? "pending" : "hit";
  }

  touch(keys: readonly string[]): void {
    for (const key of keys.toReversed()) {
      const slot = this.#slotOf(key);
      if (slot && (this.#options.evictionPolicy === "lru" || slot.isPending)) this.#t1 = moved(this.#t1, key);
      else if (slot) {
        this.#t1 = this.#t1.filter((other) => other !== key);
        this.#t2 = moved(this.#t2, key);
      } else if (this.#b1.includes(key)) {
        this.numGhostHits += 1;
        this.#target = Math.min(this.numSlots, this.#target + Math.max(1, this.#b2.length / this.#b1.length));
        this.#b1 = moved(this.#b1, key);
      } else if (this.#b2.includes(key)) {
        this.numGhostHits += 1;
        this.#target = Math.min(
          this.numSlots,
          Math.max(0, this.#target - Math.max(1, this.#b1.length / this.#b2.length)),
        );
        this.#b2 = moved(this.#b2, key);
      }
    }
  }

  prepareLoad(keys: readonly string[]): number[] {
    return keys.map((key) => {
      const slot = this.#slotOf(key)!;
      slot.numReaders += 1;
      return slot.slotId;
    });
  }

  completeLoad(slotIds: readonly number[]): void {
    for (const slotId of slotIds.toReversed()) {
      const slot = this.slots.find((other) => other.slotId === slotId)!;
      slot.numReaders -= 1;
      if (slot.numReaders > 0) continue;
      if (slot.key === null) this.#free(slot);
      else if (this.#t2.includes(slot.key)) this.#t2 = moved(this.#t2, slot.key);
      else this.#t1 = moved(this.#t1, slot.key);
    }
  }

  slotIdOf(key: string): number | null {
    return this.#slotOf(key)?.slotId ?? null;
  }

  numSlotsBeside(keys: ReadonlySet<string>): number {
    const evictable = this.slots.filter(({ key }) => key !== null && this.isIdle(key) && !keys.has(key));
    return this.numSlots - this.slots.length + evictable.length;
  }

  prepareStore(
    keys: readonly string[],
    isFiltered: boolean,
  ): { accepted: [string, number][]; present: string[]; refused: string[] } {
    const present = keys.filter((key) => this.#slotOf(key));
    const storable = keys.filter((key) => !present.includes(key) && (!isFiltered || this.isSeenEnough(key)));
    const slotIds: number[] = [];
    while (slotIds.length < storable.length && this.#hasFree()) slotIds.push(this.#take());
    const numIdle = this.slots.filter(({ key }) => key !== null && this.isIdle(key) && !keys.includes(key)).length;
    const numToEvict = Math.min(storable.length - slotIds.length, numIdle);
    for (let i = 0; i < numToEvict; i++) this.#evictOne(keys);
    for (let i = 0; i < numToEvict; i++) slotIds.push(this.#take());
    const accepted = slotIds.map((slotId, i): [string, number] => [storable[i], slotId]);
    for (const [key, slotId] of accepted) this.slots.push({ slotId, key, isPending: true, numReaders: 0 });
    for (const [key] of accepted.toReversed()) {
      this.#b1 = this.#b1.filter((other) => other !== key);
      this.#b2 = this.#b2.filter((other) => other !== key);
      this.#t1.push(key);
    }
    return { accepted, present, refused: keys.filter((key) => !this.#slotOf(key)) };
  }

  completeStore(slotId: number, success: boolean): void {
    const slot = this.slots.find((other) => other.slotId === slotId)!;
    slot.isPending = false;
    if (success && slot.key !== null) return;
    if (slot.key !== null) this.#t1 = this.#t1.filter((key) => key !== slot.key);
    this.#free(slot);
  }

  discard(keys: readonly string[]): void {
    for (const key of keys) {
      const slot = this.#slotOf(key);
      if (!slot) continue;
      const isIdle = this.isIdle(key);
      slot.key = null;
      if (isIdle) this.#free(slot);
      this.#t1 = this.#t1.filter((other) => other !== key);
      this.#t2 = this.#t2.filter((other) => other !== key);
    }
  }

  /** Slots come free in the order in which their chunks were stored. */
  clear(): void {
    this.discard(this.slots.flatMap(({ key }) => (key === null ? [] : [key])));
    this.#b1 = [];
    this.#b2 = [];
    this.#target = 0;
  }

  /** What would come of the key, if it were offered alone. */
  wouldAccept(key: string): boolean {
    const isToBeHad = this.slots.length < this.numSlots || this.slots.some((slot) => slot.key && this.isIdle(slot.key));
    return this.isSeenEnough(key) && isToBeHad;
  }

  #slotOf(key: string): ModelSlot | undefined {
    return this.slots.find((slot) => slot.key === key);
  }

  #hasFree(): boolean {
    if (this.#freed.length > 0) return true;
    if (this.#numUsed < this.numSlots && this.#numUsed === this.#options.numReservable) this.numSlots = this.#numUsed;
    return this.#numUsed < this.numSlots;
  }

  #take(): number {
    return this.#freed.pop() ?? this.#numUsed++;
  }

  #free(slot: ModelSlot): void {
    this.slots = this.slots.filter((other) => other !== slot);
    this.#freed.push(slot.slotId);
  }

  #evictOne(keptKeys: readonly string[]): void {
    const isVictim = (key: string) => this.isIdle(key) && !keptKeys.includes(key);
    const fromT1 = this.#t1.find(isVictim);
    const fromT2 = this.#t2.find(isVictim);
    const victim = (this.#t1.length >= this.#target ? (fromT1 ?? fromT2) : (fromT2 ?? fromT1))!;
    if (this.#options.evictionPolicy === "arc") {
      if (this.#t1.includes(victim)) this.#b1 = [...this.#b1, victim].slice(-this.numSlots);
      else this.#b2 = [...this.#b2, victim].slice(-this.numSlots);
    }
    this.#t1 = this.#t1.filter((key) => key !== victim);
    this.#t2 = this.#t2.filter((key) => key !== victim);
    this.#free(this.#slotOf(victim)!);
    this.numEvictions += 1;
  }
}

function moved(keys: readonly string[], key: string): string[] {
  return [...keys.filter((other) => other !== key), key];
}
