import type { KvKey } from "../kv/chunk";
import { assert } from "../util/errors";

/** What a host slot is used for. A key of null: its chunk was forgotten, and the slot comes free with its last job. */
export type Slot =
  | { readonly state: "free" }
  | { readonly state: "pending"; readonly key: KvKey | null }
  | { readonly state: "idle"; readonly key: KvKey }
  | { readonly state: "pinned"; readonly key: KvKey | null; readonly numReaders: number };

export type SlotState = Slot["state"];

const FREE: Slot = { state: "free" };

/** The slots of the host tier. They come into use one by one, for each needs memory; from there on a free one is used again first. */
export class SlotTable {
  readonly #reserveSlot: (slotId: number) => boolean;
  /** Those that were ever in use. */
  readonly #slots: Slot[] = [];
  /** Of these, the one to be taken next is the last. */
  readonly #freeSlotIds: number[] = [];
  readonly #counts: Record<SlotState, number> = { free: 0, pending: 0, idle: 0, pinned: 0 };
  #numSlots: number;

  /** `reserveSlot` gives a slot its memory; false where there is none. */
  constructor(numSlots: number, reserveSlot: (slotId: number) => boolean) {
    this.#numSlots = numSlots;
    this.#reserveSlot = reserveSlot;
  }

  /** Slots that there may be at most: fewer than at first where memory ran out. */
  get numSlots(): number {
    return this.#numSlots;
  }

  /** Slots that were never in use count as free. */
  count(state: SlotState): number {
    return this.#counts[state] + (state === "free" ? this.#numSlots - this.#slots.length : 0);
  }

  at(slotId: number): Slot {
    const slot = this.#slots[slotId];
    assert(slot, () => `there is no slot ${slotId}: ${this.#slots.length} of ${this.#numSlots} were ever in use`);
    return slot;
  }

  /** A free slot, pending for `key` from now on; null where there is none. */
  take(key: KvKey): number | null {
    if (this.#freeSlotIds.length === 0) this.#grow();
    const slotId = this.#freeSlotIds.pop();
    if (slotId === undefined) return null;
    this.#replace(slotId, { state: "pending", key });
    return slotId;
  }

  /** The slot must be in use. */
  set(slotId: number, slot: Slot): void {
    assert(this.at(slotId).state !== "free", () => `slot ${slotId} is free`);
    this.#replace(slotId, slot);
    if (slot.state === "free") this.#freeSlotIds.push(slotId);
  }

  #grow(): void {
    const slotId = this.#slots.length;
    if (slotId === this.#numSlots) return;
    if (!this.#reserveSlot(slotId)) {
      this.#numSlots = slotId;
      return;
    }
    this.#slots.push(FREE);
    this.#counts.free += 1;
    this.#freeSlotIds.push(slotId);
  }

  #replace(slotId: number, slot: Slot): void {
    this.#counts[this.#slots[slotId].state] -= 1;
    this.#counts[slot.state] += 1;
    this.#slots[slotId] = slot;
  }

  /** Throws `internal` unless each slot is counted in its state, all are there, and chunks, writers and readers are as many as given. */
  checkIntegrity(expected: {
    readonly numChunks: number;
    readonly numPending: number;
    readonly numReaders: number;
  }): void {
    const counted = { free: 0, pending: 0, idle: 0, pinned: 0 };
    let numChunks = 0;
    let numReaders = 0;
    for (const slot of this.#slots) {
      counted[slot.state] += 1;
      if (slot.state !== "free" && slot.key !== null) numChunks += 1;
      if (slot.state === "pinned") numReaders += slot.numReaders;
    }
    const states = Object.keys(counted) as SlotState[];
    const isCounted = states.every((state) => counted[state] === this.#counts[state]);
    assert(isCounted, () => `slots lost count: ${json(counted)}, not ${json(this.#counts)}`);
    const numUsed = this.#slots.length;
    assert(numUsed <= this.#numSlots, () => `${numUsed} slots were in use, but there are ${this.#numSlots}`);
    const freeSlotIds = new Set(this.#freeSlotIds);
    const areFree = [...freeSlotIds].every((slotId) => this.at(slotId).state === "free");
    const isEachOnce = freeSlotIds.size === this.#freeSlotIds.length && freeSlotIds.size === counted.free;
    assert(areFree && isEachOnce, () => `free slots are lost or shared: ${this.#freeSlotIds}, not ${counted.free}`);
    const actual = { numChunks, numPending: counted.pending, numReaders };
    const isExpected =
      numChunks === expected.numChunks &&
      actual.numPending === expected.numPending &&
      numReaders === expected.numReaders;
    assert(isExpected, () => `slots have ${json(actual)}, not ${json(expected)}`);
  }
}

function json(value: object): string {
  return JSON.stringify(value);
}
