import { afterEach, expect, test } from "vitest";
import { kvKey } from "../../kv/chunk";
import { tokens } from "../../kv/kv-request.fixture";
import { PrefixHashes } from "../../kv/prefix-hashes";
import { HostManager, type HostManagerOptions } from "../host-manager";
import type { NeededChunk } from "../prefix-lookup";
import { chunkHeader } from "./chunk-header";
import { ScriptedExecutor } from "./scripted-executor.fixture";
import { TieredManager } from "./tiered-manager";

const hashes = new PrefixHashes(4, { cacheSalt: null }, (start, end) => tokens(1, 64).slice(start, end));
/** Chunk i of the prefix: one block. */
const keyAt = (i: number) => kvKey(0, hashes.at(i));
const chunkAt = (i: number) => ({ key: keyAt(i), prefixHashes: hashes, lastBlock: i });
const tiers: Tiers[] = [];

afterEach(() => {
  for (const tier of tiers.splice(0)) tier.check();
});

/** Chunks are named by their place in one prefix. The bytes of a slot are the key of what was put there. */
class Tiers {
  readonly manager: TieredManager;
  readonly executor: ScriptedExecutor<string>;
  readonly slots = new Map<number, string>();
  #numStores = 0;

  constructor(host: Partial<HostManagerOptions> = {}, recorded = 0) {
    const contents = {
      copyOut: (slotId: number) => this.slots.get(slotId) ?? "",
      spoil: (slotId: number) => void this.slots.delete(slotId),
      copyIn: (slotId: number, _: string, bytes: string) => void this.slots.set(slotId, bytes),
    };
    const nameOf = (key: string) => String(Array.from({ length: 16 }, (_, i) => keyAt(i)).indexOf(key));
    this.executor = new ScriptedExecutor(contents, { chunkBytes: 1024, nameOf });
    for (let i = 0; i < recorded; i++) {
      this.executor.records.set(keyAt(i), { header: chunkHeader(hashes, i, 1), bytes: keyAt(i) });
    }
    const options = { numSlots: 8, evictionPolicy: "lru", storeThreshold: 0, reserveSlot: () => true } as const;
    this.manager = new TieredManager({
      host: new HostManager({ ...options, now: () => 0, ...host }),
      executor: this.executor,
      numGroups: 1,
      blocksPerChunk: 1,
      chunkBytes: 1024,
      now: () => 0,
    });
    tiers.push(this);
  }

  /** "0>3 1>2": what was accepted, and its slots. */
  prepareStore(...places: number[]): string {
    const { accepted } = this.manager.prepareStore(places.map(keyAt));
    this.#numStores += accepted.length;
    return accepted.map(({ key, slotId }) => `${places.find((i) => keyAt(i) === key)}>${slotId}`).join(" ");
  }

  completeStore(slotId: number, place: number, success = true): void {
    this.slots.set(slotId, keyAt(place));
    this.#numStores -= 1;
    this.manager.completeStore(slotId, success);
  }

  promote(requestId: string, ...places: number[]): void {
    const chunks = places.map((i): NeededChunk => ({ key: keyAt(i), lastBlock: i, state: this.lookup(i) }));
    this.manager.storage.promote(requestId, hashes, chunks, 1000);
  }

  lookup(place: number) {
    return this.manager.lookup(keyAt(place));
  }

  /** What was submitted. */
  pump(): string[] {
    this.manager.storage.pump();
    return this.executor.log.splice(0);
  }

  /** All ops end, and their results are taken in. */
  settle(success = true): void {
    this.executor.endAll(success);
    this.manager.storage.settle();
  }

  check(): void {
    this.manager.checkIntegrity({ numPending: this.#numStores, numReaders: 0 });
  }
}

test("what is stored, where it may be written, is written from its slot", () => {
  const tiers = new Tiers();
  tiers.executor.open();
  tiers.manager.storage.settle();
  expect(tiers.prepareStore(0, 1, 2)).toBe("0>0 1>1 2>2");
  tiers.manager.storage.persist([chunkAt(0), chunkAt(2)]);
  expect(tiers.pump()).toEqual([]);
  for (const i of [0, 1, 2]) tiers.completeStore(i, i);
  expect(tiers.pump()).toEqual(["write 0<0 2<2"]);
  tiers.manager.storage.persist([chunkAt(0), chunkAt(1)]);
  expect(tiers.pump()).toEqual(["write 1<1"]);
  tiers.settle();
  tiers.manager.storage.persist([chunkAt(0), chunkAt(1), chunkAt(2), chunkAt(3)]);
  expect(tiers.pump()).toEqual([]);
  expect(tiers.manager.storage.stats).toMatchObject({ numChunks: 3, bytesDurable: 3072, bytesNotDurable: 0 });
});

test("a slot whose chunk was forgotten while it was written gives nothing to storage", () => {
  const tiers = new Tiers();
  tiers.executor.open();
  tiers.manager.storage.settle();
  tiers.prepareStore(0);
  tiers.manager.storage.persist([chunkAt(0)]);
  tiers.manager.clear();
  expect(tiers.prepareStore(0)).toBe("0>1");
  tiers.completeStore(0, 0);
  expect(tiers.pump()).toEqual([]);
  tiers.completeStore(1, 0);
  expect([tiers.pump(), tiers.lookup(0)]).toEqual([[], "hit"]);
});

test("chunks that storage has are present, and take no slot; others do", () => {
  const tiers = new Tiers({}, 2);
  tiers.executor.open();
  tiers.manager.storage.settle();
  const { accepted, present, refused } = tiers.manager.prepareStore([0, 2, 1].map(keyAt));
  expect([accepted, present, refused]).toEqual([[{ key: keyAt(2), slotId: 0 }], [keyAt(0), keyAt(1)], []]);
  tiers.manager.completeStore(0, false);
});

test("promoted chunks come into their slots, each pinned for who asked, until that is released", () => {
  const tiers = new Tiers({}, 3);
  tiers.executor.open();
  tiers.manager.storage.settle();
  tiers.promote("r", 0, 1, 2);
  tiers.promote("s", 1);
  expect([0, 1, 2, 3].map((i) => tiers.lookup(i))).toEqual(["pending", "pending", "pending", "miss"]);
  expect(tiers.pump()).toEqual(["read 0>0 1>1 2>2"]);
  tiers.settle();
  expect([...tiers.slots.values()]).toEqual([0, 1, 2].map(keyAt));
  expect(tiers.manager.storage.takeChanges()).toEqual({
    keys: [0, 1, 2].map(keyAt),
    isIndexNew: true,
    failed: new Map(),
    reads: [{ numChunks: 3, ms: 0 }],
  });
  expect([tiers.manager.storage.stats.numHeldSlots, tiers.manager.stats.numPinnedSlots]).toEqual([3, 3]);
  tiers.manager.storage.release("r");
  expect([tiers.manager.storage.isPromoted("r", keyAt(1)), tiers.manager.storage.isPromoted("s", keyAt(1))]).toEqual([
    false,
    true,
  ]);
  expect(tiers.manager.stats).toMatchObject({ numPinnedSlots: 1, numIdleSlots: 2 });
  tiers.manager.storage.release("s");
  tiers.manager.storage.release("t");
  expect([tiers.manager.stats.numPinnedSlots, tiers.manager.storage.hasWork]).toEqual([0, false]);
});

test("half of the slots, less what promotions hold and what cannot be evicted, is the room for others", () => {
  const tiers = new Tiers({ numSlots: 6 }, 8);
  tiers.executor.open();
  tiers.manager.storage.settle();
  const cut = (...places: number[]) => {
    const chunks = places.map((i): NeededChunk => ({ key: keyAt(i), lastBlock: i, state: "stored" }));
    return tiers.manager.storage.withoutRoom(chunks).map((key) => places.find((i) => keyAt(i) === key));
  };
  expect(cut(3, 2, 1, 0)).toEqual([3]);
  tiers.promote("r", 0, 1);
  expect(cut(2, 3)).toEqual([3]);
  tiers.pump();
  tiers.settle();
  // Read, but pinned.
  expect(cut(2, 3)).toEqual([3]);
  tiers.manager.storage.release("r");
  expect(cut(2, 3, 4)).toEqual([]);
  expect(tiers.prepareStore(10, 11, 12, 13)).toBe("10>2 11>3 12>4 13>5");
  // Two are idle, the rest is being written.
  expect(cut(2, 3, 4)).toEqual([4]);
  for (const slotId of [2, 3, 4, 5]) tiers.completeStore(slotId, slotId + 8, false);
});

test("memory that is refused: what got no slot is asked for again", () => {
  const tiers = new Tiers({ reserveSlot: (slotId) => slotId < 1 }, 3);
  tiers.executor.open();
  tiers.manager.storage.settle();
  tiers.manager.storage.takeChanges();
  tiers.promote("r", 0, 1);
  expect(tiers.manager.storage.takeChanges().keys).toEqual([keyAt(1)]);
  expect([tiers.pump(), tiers.lookup(1)]).toEqual([["read 0>0"], "stored"]);
  tiers.manager.storage.release("r");
  tiers.settle();
});

test("what the store evicts for others is not there any more; a failed write was never there", () => {
  const tiers = new Tiers({}, 1);
  tiers.executor.open();
  tiers.manager.storage.settle();
  tiers.prepareStore(1, 2);
  tiers.manager.storage.persist([chunkAt(1), chunkAt(2)]);
  tiers.completeStore(0, 1);
  tiers.completeStore(1, 2);
  tiers.pump();
  const usage = { bytes: 1024, maxBytes: 1024, bytesWrittenToday: 2048 };
  const result = { kind: "written", opId: 1, written: [keyAt(1)], evicted: [keyAt(0)], usage } as const;
  tiers.executor.takeResults = () => [result];
  tiers.manager.storage.settle();
  expect([0, 1, 2].map((i) => tiers.lookup(i))).toEqual(["miss", "hit", "hit"]);
  expect(tiers.manager.storage.stats).toMatchObject({
    ...usage,
    numChunks: 1,
    bytesDurable: 1024,
    numCascadeDropped: 1,
  });
  expect(() => tiers.manager.storage.settle()).toThrow("write 1 has a result, but is not under way");
});

test("an index of an earlier clear epoch is not believed, but its epoch is: the store was made anew", () => {
  const tiers = new Tiers({}, 2);
  tiers.executor.clearEpoch = 3;
  tiers.executor.open();
  tiers.manager.storage.settle();
  expect(tiers.lookup(0)).toBe("stored");
  tiers.executor.clearEpoch = 0;
  tiers.executor.open();
  tiers.manager.storage.settle();
  expect(tiers.lookup(0)).toBe("miss");
  tiers.prepareStore(5);
  tiers.manager.storage.persist([chunkAt(5)]);
  tiers.completeStore(0, 5);
  tiers.pump();
  tiers.settle();
  expect(tiers.executor.records.size).toBe(3);
});

test("what other tabs write can be read, what they delete is a miss, and their bytes count", () => {
  const tiers = new Tiers({}, 2);
  tiers.executor.open();
  const usage = { bytes: 5 * 1024, maxBytes: 8 * 1024, bytesWrittenToday: 7 * 1024 };
  tiers.executor.tell({ kind: "changed", added: [keyAt(4)], deleted: [keyAt(0), keyAt(7)], usage });
  tiers.manager.storage.settle();
  expect([0, 1, 4].map((i) => tiers.lookup(i))).toEqual(["miss", "stored", "stored"]);
  expect(tiers.manager.storage.stats).toMatchObject({ ...usage, numChunks: 2, bytesDurable: 0 });
  tiers.manager.storage.clear();
  tiers.pump();
  tiers.executor.tell({ kind: "changed", added: [keyAt(5)], deleted: [], usage });
  tiers.settle();
  expect(tiers.lookup(5)).toBe("miss");
});

test("another tab's clear: what waits to be written is dropped, what is being written is void; what comes later is written", () => {
  const tiers = new Tiers({}, 2);
  tiers.executor.open();
  tiers.manager.storage.settle();
  tiers.manager.discard([keyAt(1)]);
  const store = (place: number) => {
    const [slotId] = tiers.prepareStore(place).split(">").slice(1).map(Number);
    tiers.manager.storage.persist([chunkAt(place)]);
    tiers.completeStore(slotId, place);
  };
  store(5);
  expect(tiers.pump()).toEqual(["delete 1", "write 5<0"]);
  store(6);
  tiers.executor.clearEpoch = 1;
  tiers.executor.records.clear();
  tiers.executor.open();
  tiers.manager.storage.settle();
  expect([0, 5, 6].map((i) => tiers.lookup(i))).toEqual(["miss", "hit", "hit"]);
  expect(tiers.pump()).toEqual([]);
  store(1);
  expect(tiers.pump()).toEqual(["write 1<2"]);
  tiers.settle();
  expect([...tiers.executor.records.keys()]).toEqual([keyAt(1)]);
  expect(tiers.manager.storage.stats).toMatchObject({ numChunks: 1, bytesDurable: 1024, bytesNotDurable: 0 });
});

test("the first index has whatever epoch it has: what waits to be written stays", () => {
  const tiers = new Tiers();
  tiers.executor.clearEpoch = 4;
  tiers.prepareStore(0);
  tiers.manager.storage.persist([chunkAt(0)]);
  tiers.completeStore(0, 0);
  tiers.executor.open();
  tiers.manager.storage.settle();
  expect(tiers.pump()).toEqual(["write 0<0"]);
});

test("two clears in a row: writes go on after the second", () => {
  const tiers = new Tiers({}, 1);
  tiers.executor.open();
  tiers.manager.storage.settle();
  tiers.manager.storage.clear();
  expect([tiers.pump(), tiers.lookup(0), tiers.manager.storage.isClearing]).toEqual([["clear"], "miss", true]);
  tiers.manager.storage.clear();
  tiers.executor.endAll();
  tiers.manager.storage.settle();
  expect([tiers.manager.storage.isClearing, tiers.pump()]).toEqual([true, ["clear"]]);
  tiers.settle();
  expect([tiers.manager.storage.isClearing, tiers.manager.storage.hasClearFailed, tiers.executor.clearEpoch]).toEqual([
    false,
    false,
    2,
  ]);
});

test("a clear that ends in vain says so", () => {
  const tiers = new Tiers({}, 1);
  tiers.executor.open();
  tiers.executor.canClear = false;
  tiers.manager.storage.settle();
  tiers.manager.storage.clear();
  tiers.pump();
  tiers.settle();
  expect([tiers.manager.storage.hasClearFailed, tiers.lookup(0), tiers.manager.storage.hasWork]).toEqual([
    true,
    "miss",
    false,
  ]);
});

test("touches go out once, for what storage has", () => {
  const tiers = new Tiers({}, 2);
  tiers.executor.open();
  tiers.manager.storage.settle();
  tiers.manager.touch([0, 1, 2].map(keyAt));
  tiers.manager.touch([1, 3].map(keyAt));
  expect([tiers.pump(), tiers.pump()]).toEqual([["touch 0 1"], []]);
});

test("until it is opened nobody knows; a discarded chunk is not found, not even by a new index", () => {
  const tiers = new Tiers({}, 2);
  expect(tiers.lookup(0)).toBe("retry");
  tiers.executor.open();
  tiers.manager.storage.settle();
  tiers.manager.discard([keyAt(0)]);
  tiers.executor.open();
  tiers.manager.storage.settle();
  expect([0, 1].map((i) => tiers.lookup(i))).toEqual(["miss", "stored"]);
});

test("a discarded chunk is deleted there, also one that is still being written", () => {
  const tiers = new Tiers({}, 2);
  tiers.executor.open();
  tiers.manager.storage.settle();
  tiers.prepareStore(5);
  tiers.manager.storage.persist([chunkAt(5)]);
  tiers.completeStore(0, 5);
  expect(tiers.pump()).toEqual(["write 5<0"]);
  tiers.manager.discard([keyAt(0), keyAt(5)]);
  expect([tiers.pump(), tiers.pump()]).toEqual([["delete 0 5"], []]);
  tiers.executor.endAll();
  tiers.manager.storage.settle();
  expect([0, 1, 5].map((i) => tiers.lookup(i))).toEqual(["miss", "stored", "miss"]);
  expect([...tiers.executor.records.keys()]).toEqual([keyAt(1)]);
});
