import fc from "fast-check";
import { arbitraryOffloadRun, type OffloadRun } from "./offload-run.property.fixture";

/** What becomes of a read or a write. */
const arbitraryStorageFate = fc.record({
  /** Turns from its submission to its result; null: not before all else has ended. */
  delay: fc.oneof(
    { weight: 30, arbitrary: fc.constant<number | null>(0) },
    { weight: 30, arbitrary: fc.nat(6) },
    { weight: 15, arbitrary: fc.integer({ min: 6, max: 40 }) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  succeeds: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, fc.constant(false)),
  /** Of a read that succeeds: every so-manieth record is not to be believed; 0: none. */
  badEvery: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 3 })),
});

const someTurns = (maxLength: number) =>
  fc.oneof({ weight: 2, arbitrary: fc.constant<number[]>([]) }, fc.array(fc.nat(120), { maxLength }));

export const arbitraryStorage = fc.record({
  maxReads: fc.integer({ min: 1, max: 3 }),
  maxChunksInFlight: fc.integer({ min: 1, max: 8 }),
  chunksPerOp: fc.constantFrom(1, 2, 64),
  maxQueueChunks: fc.oneof({ weight: 3, arbitrary: fc.constant(100) }, fc.integer({ min: 1, max: 4 })),
  /** By the number of the op, over and over. */
  fates: fc.array(arbitraryStorageFate, { minLength: 1, maxLength: 12 }),
  openTurn: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(20)),
  /** The storage worker is lost, and opens again so many turns later; null: it is off for good. */
  restarts: fc.oneof(
    { weight: 3, arbitrary: fc.constant<{ turn: number; numTurns: number | null }[]>([]) },
    fc.array(fc.record({ turn: fc.nat(120), numTurns: fc.option(fc.nat(15), { freq: 3 }) }), { maxLength: 2 }),
  ),
  readOnlyTurns: someTurns(1),
  clearTurns: someTurns(2),
  canClear: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
  hostClearTurns: someTurns(4),
  /** Chunks that RAM loses, the least recently used first, when the GPU's prefix cache is emptied. */
  numEvictedAtReset: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 5 }), fc.constant(100)),
  /** Turns that a read takes at least. */
  minReadDelay: fc.constantFrom(0, 0, 100, 200),
  /** What happens when a read is under way for the first time. */
  whenReading: fc.constantFrom(null, "clear", "clearRam", "off", "loseDevice", null, null),
  /** By the number of the request, over and over. */
  stores: fc.oneof(
    { weight: 2, arbitrary: fc.constant<("all" | "ram" | "none")[]>(["all"]) },
    fc.array(fc.constantFrom("all" as const, "all" as const, "ram" as const, "none" as const), {
      minLength: 1,
      maxLength: 6,
    }),
  ),
  loadPolicy: fc.constantFrom("auto" as const, "always" as const),
  numSlots: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 8, max: 20 }), fc.integer({ min: 20, max: 60 })),
});

/** What was computed is in storage by the time that somebody wants it; what happens then is as above. */
const arbitraryCalmStorage = fc.record({ storage: arbitraryStorage, numSlots: fc.integer({ min: 8, max: 60 }) }).map(
  ({ storage, numSlots }): StorageRunSetup => ({
    ...storage,
    numSlots,
    maxChunksInFlight: 100,
    maxQueueChunks: 100,
    fates: storage.fates.map((fate) => ({ ...fate, delay: Math.min(fate.delay ?? 0, 6) })),
    openTurn: 0,
    restarts: [],
    readOnlyTurns: [],
    clearTurns: [],
    hostClearTurns: [],
    numEvictedAtReset: storage.numEvictedAtReset || 100,
    stores: ["all"],
  }),
);

export type StorageRunSetup = typeof arbitraryStorage extends fc.Arbitrary<infer T> ? T : never;

export interface StorageRun extends OffloadRun {
  readonly storage: StorageRunSetup;
}

/** Runs with a connector whose host tier is small or emptied often, so that much of what it had is in storage only. */
export const arbitraryStorageRun = fc
  .record({ run: arbitraryOffloadRun, storage: fc.oneof(arbitraryStorage, arbitraryCalmStorage) })
  .map(({ run: { run, offload }, storage }): StorageRun => {
    const { numSlots } = storage;
    // No wait may outlast what the player takes for a standstill.
    const msPerTurn = storage.loadPolicy === "always" && offload.msPerTurn === 1 ? 20 : offload.msPerTurn;
    return { run, offload: { ...offload, numSlots, msPerTurn }, storage };
  });
