import fc from "fast-check";
import { expect } from "vitest";
import { policyOf } from "./arc-policy";
import { HostManager } from "./host-manager";
import { HostModel, type HostModelOptions } from "./host-model.property.fixture";

const KEYS = [..."abcdefgh"];

const someKeys = fc.uniqueArray(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 5 });
/** Of the jobs under way, counted round and round. */
const anyJob = fc.nat(20);

/** Operations of a kind, `weight` times as often as others. */
function ofKind<K extends string, T extends object>(kind: K, weight: number, rest: fc.Arbitrary<T>) {
  return { weight, arbitrary: rest.map((more) => ({ kind, ...more })) };
}

const operation = fc.oneof(
  ofKind("sight", 6, fc.record({ keys: someKeys })),
  ofKind("touch", 6, fc.record({ keys: someKeys })),
  ofKind("prepareStore", 12, fc.record({ keys: someKeys, isFiltered: fc.nat(4).map((n) => n > 0) })),
  ofKind("completeStore", 24, fc.record({ job: anyJob, success: fc.nat(7).map((n) => n > 0) })),
  ofKind("prepareLoad", 6, fc.record({ keys: someKeys })),
  ofKind("completeLoad", 6, fc.record({ job: anyJob })),
  ofKind("discard", 2, fc.record({ keys: someKeys })),
  ofKind("clear", 2, fc.record({})),
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

const options: fc.Arbitrary<HostModelOptions> = fc.record({
  numSlots: fc.integer({ min: 1, max: 6 }),
  numReservable: fc.constantFrom(3, 100),
  evictionPolicy: fc.constantFrom("lru", "arc"),
  storeThreshold: fc.constantFrom(0, 1, 2),
  maxTrackedKeys: fc.constantFrom(3, 100),
});

export const arbitraryLife = fc.record({ options, operations: fc.array(operation, { maxLength: 60, size: "max" }) });

/** What has to happen often, or the test would prove little. */
export const RARE_EVENTS = [
  "an eviction",
  "a touch of a ghost",
  "a chunk passes by the filter",
  "a refusal for lack of a slot",
  "a refusal for lack of sightings",
  "a change of the store epoch",
  "a slot with several readers",
  "a key in two slots, one of them forgotten",
  "a forgotten chunk arrives",
  "a forgotten chunk was read to the end",
  "a tier that shrinks",
] as const;
export type RareEvent = (typeof RARE_EVENTS)[number];

interface Refusal {
  readonly storeEpoch: number;
  /** Other chunks of the call had slots that could have been had. */
  readonly wasInTheWay: boolean;
}

/** Plays operations to a host manager and to the model, and compares what they say after each. */
export class HostPlayer {
  readonly #manager: HostManager;
  readonly #model: HostModel;
  readonly #count: (event: RareEvent) => void;
  #stores: { readonly key: string; readonly slotId: number }[] = [];
  #loads: (readonly number[])[] = [];
  /** By the events. */
  readonly #readable = new Set<string>();
  readonly #refusals = new Map<string, Refusal>();
  #wasRefused = false;

  constructor(options: HostModelOptions, count: (event: RareEvent) => void) {
    this.#model = new HostModel(options);
    this.#count = count;
    const reserveSlot = (slotId: number) => slotId < options.numReservable;
    this.#manager = new HostManager({
      ...options,
      evictionPolicy: policyOf(options.evictionPolicy),
      reserveSlot,
      now: () => 0,
      recordsEvents: true,
    });
  }

  play(operations: readonly Operation[]): void {
    for (const operation of operations) {
      const { storeEpoch } = this.#manager;
      const { numSlots, numEvictions, numGhostHits } = this.#model;
      this.#do(operation);
      if (this.#model.numSlots < numSlots) this.#count("a tier that shrinks");
      if (this.#model.numEvictions > numEvictions) this.#count("an eviction");
      if (this.#model.numGhostHits > numGhostHits) this.#count("a touch of a ghost");
      this.#compareStates();
      this.#compareEvents();
      this.#checkStoreEpoch(storeEpoch);
    }
  }

  #do(operation: Operation): void {
    switch (operation.kind) {
      case "sight":
      case "touch":
      case "discard":
        this.#manager[operation.kind](operation.keys);
        this.#model[operation.kind](operation.keys);
        break;
      case "clear":
        this.#manager.clear();
        this.#model.clear();
        break;
      case "prepareStore":
        this.#prepareStore(operation.keys, operation.isFiltered);
        break;
      case "completeStore":
        this.#completeStore(operation.job, operation.success);
        break;
      case "prepareLoad":
        this.#prepareLoad(operation.keys);
        break;
      case "completeLoad":
        this.#completeLoad(operation.job);
        break;
      default:
        operation satisfies never;
    }
  }

  #prepareStore(keys: readonly string[], isFiltered: boolean): void {
    const wasInTheWay = keys.some((key) => this.#model.isIdle(key));
    const expected = this.#model.prepareStore(keys, isFiltered);
    const { accepted, present, refused } = this.#manager.prepareStore(keys, isFiltered);
    if (accepted.some(({ key }) => !this.#model.isSeenEnough(key))) this.#count("a chunk passes by the filter");
    expect(accepted.map(({ key, slotId }) => [key, slotId])).toEqual(expected.accepted);
    expect({ present, refused }).toEqual({ present: expected.present, refused: expected.refused });
    this.#stores.push(...accepted);
    for (const { key } of accepted) {
      const isInTwo = this.#stores.filter((store) => store.key === key).length > 1;
      if (isInTwo) this.#count("a key in two slots, one of them forgotten");
    }
    for (const key of refused) {
      const reason = this.#model.isSeenEnough(key) ? "a slot" : "sightings";
      this.#count(`a refusal for lack of ${reason}`);
      this.#refusals.set(key, { storeEpoch: this.#manager.storeEpoch, wasInTheWay });
      this.#wasRefused = true;
    }
  }

  #completeStore(job: number, success: boolean): void {
    const [store] = this.#stores.splice(job % this.#stores.length, 1);
    if (!store) return;
    const isForgotten = this.#model.slots.some(({ slotId, key }) => slotId === store.slotId && key === null);
    if (isForgotten && success) this.#count("a forgotten chunk arrives");
    this.#model.completeStore(store.slotId, success);
    this.#manager.completeStore(store.slotId, success);
  }

  #prepareLoad(keys: readonly string[]): void {
    const readable = keys.filter((key) => this.#model.lookup(key) === "hit");
    const slotIds = this.#manager.prepareLoad(readable);
    expect(slotIds).toEqual(this.#model.prepareLoad(readable));
    if (slotIds.length > 0) this.#loads.push(slotIds);
    if (this.#model.slots.some(({ numReaders }) => numReaders > 1)) this.#count("a slot with several readers");
  }

  #completeLoad(job: number): void {
    const [slotIds] = this.#loads.splice(job % this.#loads.length, 1);
    if (!slotIds) return;
    const numInUse = this.#model.slots.length;
    this.#model.completeLoad(slotIds);
    this.#manager.completeLoad(slotIds);
    if (this.#model.slots.length < numInUse) this.#count("a forgotten chunk was read to the end");
  }

  #compareStates(): void {
    const { numPending, numReaders, numSlots, numEvictions, gauges } = this.#model;
    this.#manager.checkIntegrity({ numPending, numReaders });
    const states = (tier: HostManager | HostModel) => KEYS.map((key) => tier.lookup(key)).join(" ");
    expect(states(this.#manager)).toBe(states(this.#model));
    const slots = (tier: HostManager | HostModel) => KEYS.map((key) => tier.slotIdOf(key)).join(" ");
    expect(slots(this.#manager)).toBe(slots(this.#model));
    const room = (tier: HostManager | HostModel) => KEYS.map((_, i) => tier.numSlotsBeside(new Set(KEYS.slice(i))));
    expect(room(this.#manager)).toEqual(room(this.#model));
    const { stats } = this.#manager;
    const { numFreeSlots, numPendingSlots, numIdleSlots, numPinnedSlots } = stats;
    const actual = [stats.numSlots, stats.numEvictions, numFreeSlots, numPendingSlots, numIdleSlots, numPinnedSlots];
    expect(actual.join(" ")).toBe([numSlots, numEvictions, ...gauges].join(" "));
  }

  /** What is stored was not here, what is evicted was; together they tell what is readable. */
  #compareEvents(): void {
    for (const { kind, key } of this.#manager.takeEvents()) {
      expect(this.#readable.has(key)).toBe(kind === "evicted");
      if (kind === "stored") this.#readable.add(key);
      else this.#readable.delete(key);
    }
    const isRight = KEYS.every((key) => this.#readable.has(key) === (this.#model.lookup(key) === "hit"));
    expect(isRight, `by the events these are readable: ${[...this.#readable]}`).toBe(true);
  }

  /** It changes for somebody who was refused, and does not stay while one of them would be accepted. */
  #checkStoreEpoch(before: number): void {
    const { storeEpoch } = this.#manager;
    if (storeEpoch !== before) {
      expect(this.#wasRefused).toBe(true);
      this.#wasRefused = false;
      this.#count("a change of the store epoch");
    }
    for (const [key, refusal] of this.#refusals) {
      if (refusal.storeEpoch !== storeEpoch || refusal.wasInTheWay || this.#model.lookup(key) !== "miss") continue;
      expect(this.#model.wouldAccept(key), `${key} would be accepted, but the store epoch has not changed`).toBe(false);
    }
  }
}
