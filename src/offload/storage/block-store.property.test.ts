import fc from "fast-check";
import { expect, test } from "vitest";
import type { BlockStore } from "./block-store";
import {
  bytesOf,
  checkIntegrity,
  chunks,
  DAY_MS,
  FINGERPRINT,
  makeStore,
  NOON_MS,
  OTHER_FINGERPRINT,
  openIndex,
  overBothBackends,
  resetIndexedDb,
} from "./block-store.fixture";
import { RECORD_BYTES, StoreModel } from "./store-model.property.fixture";

const SEED = 20261125;
const NUM_LIVES = 100;
const MIN_TIMES = 20;
const TTL_MS = 1000;

const names = fc.uniqueArray(fc.constantFrom(...[..."abcdefgh"].map((letter) => `0/${letter}`)), { maxLength: 5 });
const fingerprint = fc.constantFrom(FINGERPRINT, FINGERPRINT, OTHER_FINGERPRINT);

function ofKind<K extends string, T extends object>(kind: K, weight: number, rest: fc.Arbitrary<T>) {
  return { weight, arbitrary: rest.map((more) => ({ kind, ...more })) };
}

const operation = fc.oneof(
  ofKind("write", 8, fc.record({ names, isStale: fc.nat(9).map((n) => n === 0) })),
  ofKind("read", 6, fc.record({ names })),
  ofKind("touch", 4, fc.record({ names })),
  ofKind("advance", 4, fc.record({ ms: fc.constantFrom(1, 10, 400, TTL_MS, DAY_MS / 2) })),
  ofKind("flush", 2, fc.record({})),
  ofKind("reopen", 2, fc.record({ fingerprint })),
  ofKind("clear", 1, fc.record({})),
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

const life = fc.record({
  maxRecords: fc.integer({ min: 2, max: 9 }),
  operations: fc.array(operation, { minLength: 5, maxLength: 40, size: "max" }),
});

/** What has to happen often, or the test would prove little. */
const counts = { evicted: 0, "evicted of another fingerprint": 0, refused: 0, past: 0, "cut at the cap": 0 };

/** Plays a life to a store and to the model, and compares what they say after each operation. */
async function play({ maxRecords, operations }: typeof life extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
  resetIndexedDb();
  const clock = { nowMs: NOON_MS };
  const model = new StoreModel({ maxRecords, ttlMs: TTL_MS }, clock.nowMs);
  let store: BlockStore | null = null;

  const reopen = async (fingerprint: string): Promise<BlockStore> => {
    // The clock goes on between sessions.
    clock.nowMs += 1;
    model.advance(1);
    store?.close();
    const opened = makeStore(clock);
    const index = await openIndex(opened, { fingerprint, maxBytes: maxRecords * RECORD_BYTES, ttlMs: TTL_MS });
    const keys = model.open(fingerprint);
    expect(index.keys.toSorted()).toEqual(keys.toSorted());
    expect(index.clearEpoch).toBe(model.clearEpoch);
    return opened;
  };

  const run = async (store: BlockStore, operation: Operation): Promise<void> => {
    switch (operation.kind) {
      case "write":
        return write(store, model, operation);
      case "read": {
        const numBefore = model.records.length;
        const { chunks: read, fault } = await store.read(chunks(...operation.names));
        const expected = model.read(operation.names);
        expect([read.map((bytes) => bytes !== null), fault]).toEqual([expected, null]);
        read.forEach((bytes, i) => {
          if (bytes) expect(new Uint8Array(bytes)).toEqual(bytesOf(operation.names[i]));
        });
        counts.past += numBefore - model.records.length;
        return;
      }
      case "touch":
        model.touch(operation.names);
        return store.touch(operation.names);
      case "advance":
        clock.nowMs += operation.ms;
        return model.advance(operation.ms);
      case "flush":
        model.flush();
        return store.flush();
      case "reopen":
        return;
      case "clear": {
        const { clearEpoch, fault } = await store.clear();
        expect([clearEpoch, fault]).toEqual([model.clear(), null]);
        return;
      }
      default:
        operation satisfies never;
    }
  };

  store = await reopen(FINGERPRINT);
  for (const operation of operations) {
    if (operation.kind === "reopen") store = await reopen(operation.fingerprint);
    await run(store, operation);
    const { usage } = await store.write(Number.NaN, []);
    expect([usage.bytes, usage.bytesWrittenToday]).toEqual([model.bytes, model.bytesWrittenToday]);
  }
  await checkIntegrity(store);
  store.close();
  counts["evicted of another fingerprint"] += model.numForeignEvictions;
}

async function write(
  store: BlockStore,
  model: StoreModel,
  { names, isStale }: Extract<Operation, { kind: "write" }>,
): Promise<void> {
  const clearEpoch = model.clearEpoch - Number(isStale);
  const { written, evicted, fault } = await store.write(clearEpoch, chunks(...names));
  const expected = model.write(clearEpoch, names);
  expect([written, evicted]).toEqual([expected.written, expected.evicted]);
  const isCut = !isStale && written.length < names.length;
  expect(fault?.code ?? null).toBe(isCut ? "quota" : null);
  counts.refused += Number(isStale);
  counts["cut at the cap"] += Number(isCut);
  counts.evicted += evicted.length;
}

overBothBackends(() => {
  test("a store does what a model with arrays does, over sessions, clocks and clears", async () => {
    await fc.assert(fc.asyncProperty(life, play), { seed: SEED, numRuns: NUM_LIVES });
    for (const [event, times] of Object.entries(counts)) expect.soft(times, event).toBeGreaterThanOrEqual(MIN_TIMES);
  });
});
