import { beforeEach, describe, expect, test } from "vitest";
import {
  CHUNK_BYTES,
  changeRow,
  checkIntegrity,
  chunks,
  DAY_MS,
  makeStore,
  NOON_MS,
  namespaceHash,
  OTHER_FINGERPRINT,
  openIndex,
  openStore,
  overBothBackends,
  readable,
  resetIndexedDb,
  rowKey,
  rowsOf,
  TTL_MS,
} from "./block-store.fixture";

overBothBackends(() => {
  beforeEach(resetIndexedDb);

  const recordKeys = async () => Object.keys(await rowsOf("blocks")).map((key) => key.slice(33));

  describe("the byte cap", () => {
    test("what was used last stays; what the call names stays in any case", async () => {
      const clock = { nowMs: NOON_MS };
      const { store } = await openStore({ maxBytes: 4 * CHUNK_BYTES }, clock);
      await store.write(0, chunks("0/a", "0/b", "0/c", "0/d"));
      clock.nowMs += 1;
      await store.touch(["0/d"]);
      // Used last: d, then a, b, c, for a head is used after its tail.
      const first = await store.write(0, chunks("0/c", "0/e"));
      expect([first.written, first.evicted, first.fault]).toEqual([["0/c", "0/e"], ["0/b"], null]);
      const second = await store.write(0, chunks("0/f"));
      expect([second.written, second.evicted]).toEqual([["0/f"], ["0/a"]]);
      expect(second.usage.bytes).toBe(4 * CHUNK_BYTES);
      await checkIntegrity(store);
    });

    test("spans the fingerprints of a namespace: those of others go first, and are not told", async () => {
      const clock = { nowMs: NOON_MS };
      const { store: old } = await openStore({ fingerprint: OTHER_FINGERPRINT }, clock);
      await old.write(0, chunks("0/a", "0/b"));
      old.close();
      const { store: neighbour } = await openStore({ namespace: "other" }, clock);
      await neighbour.write(0, chunks("0/a", "0/b", "0/c"));
      const { store, index } = await openStore({ maxBytes: 4 * CHUNK_BYTES }, clock);
      expect(index.usage.bytes).toBe(2 * CHUNK_BYTES);
      await store.write(0, chunks("0/a", "0/b"));
      clock.nowMs += 1;
      const evictions = [];
      for (const key of ["0/c", "0/d", "0/e"]) evictions.push((await store.write(0, chunks(key))).evicted);
      expect(evictions).toEqual([[], [], ["0/b"]]);
      expect((await openStore({ fingerprint: OTHER_FINGERPRINT }, clock)).index.keys).toEqual([]);
      expect((await openStore({ namespace: "other" }, clock)).index.keys).toEqual(["0/a", "0/b", "0/c"]);
      await checkIntegrity(store);
    });

    test("a call that is larger writes what fits, and says why not all", async () => {
      const { store } = await openStore({ maxBytes: 2.5 * CHUNK_BYTES });
      await store.write(0, chunks("0/a"));
      const result = await store.write(0, chunks("0/b", "0/c", "0/d"));
      expect([result.written, result.evicted, result.fault?.code]).toEqual([["0/b", "0/c"], ["0/a"], "quota"]);
      expect(await recordKeys()).toEqual([`${"f0".repeat(16)}/0/b`, `${"f0".repeat(16)}/0/c`]);
      await checkIntegrity(store);
    });

    test("that was lowered is kept from the next open on", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a", "0/b", "0/c"));
      store.close();
      const reopened = await openStore({ maxBytes: 2 * CHUNK_BYTES });
      expect([reopened.index.keys, reopened.index.usage.bytes]).toEqual([["0/a", "0/b"], 128]);
      await reopened.store.flush();
      expect(await recordKeys()).toHaveLength(2);
      await checkIntegrity(reopened.store);
    });
  });

  describe("what nobody used for its time", () => {
    test("is deleted at open, whatever its fingerprint", async () => {
      const clock = { nowMs: NOON_MS };
      const { store: old } = await openStore({ fingerprint: OTHER_FINGERPRINT }, clock);
      await old.write(0, chunks("0/x"));
      const { store } = await openStore({}, clock);
      await store.write(0, chunks("0/a", "0/b"));
      clock.nowMs += DAY_MS;
      await store.touch(["0/b"]);
      await store.flush();
      clock.nowMs = NOON_MS + TTL_MS;
      expect((await openStore({}, clock)).index.keys).toEqual(["0/a", "0/b"]);
      clock.nowMs += 1;
      const { index, store: later } = await openStore({}, clock);
      expect([index.keys, index.usage.bytes]).toEqual([["0/b"], 64]);
      await later.flush();
      expect(await recordKeys()).toEqual([`${"f0".repeat(16)}/0/b`]);
      await checkIntegrity(later);
    });

    test("is deleted some at a time, behind what was asked for meanwhile; what is written anew stays", async () => {
      const clock = { nowMs: NOON_MS };
      const { store: old } = await openStore({ maxBytes: 200 * CHUNK_BYTES }, clock);
      const keys = Array.from({ length: 150 }, (_, i) => `0/${String(i).padStart(3, "0")}`);
      await old.write(0, chunks(...keys));
      clock.nowMs += TTL_MS + 1;
      const { store, index } = await openStore({ maxBytes: 200 * CHUNK_BYTES }, clock);
      expect([index.keys, index.usage.bytes]).toEqual([[], 0]);
      const write = store.write(0, chunks("0/000", "0/149"));
      expect((await write).usage).toMatchObject({ bytes: 2 * CHUNK_BYTES });
      for (let i = 0; i < 3; i++) await store.flush();
      expect(await recordKeys()).toHaveLength(2);
      expect(await readable(store, "0/000", "0/001", "0/149")).toEqual(["0/000", "0/149"]);
      await checkIntegrity(store);
    });

    test("is a miss at read, and deleted; reading and touching are uses", async () => {
      const clock = { nowMs: NOON_MS };
      const { store } = await openStore({}, clock);
      await store.write(0, chunks("0/a", "0/b", "0/c"));
      clock.nowMs += TTL_MS;
      await store.touch(["0/b"]);
      expect(await readable(store, "0/c")).toEqual(["0/c"]);
      clock.nowMs += 1;
      expect(await readable(store, "0/a", "0/b", "0/c")).toEqual(["0/b", "0/c"]);
      expect((await recordKeys()).length).toBe(2);
      await checkIntegrity(store);
    });

    test("a use that another tab wrote down counts", async () => {
      const clock = { nowMs: NOON_MS };
      const [{ store: mine }, { store: theirs }] = [await openStore({}, clock), await openStore({}, clock)];
      await mine.write(0, chunks("0/a"));
      expect(await readable(theirs, "0/a")).toEqual(["0/a"]);
      clock.nowMs += TTL_MS;
      await theirs.touch(["0/a"]);
      await theirs.flush();
      clock.nowMs += 1;
      expect(await readable(mine, "0/a")).toEqual(["0/a"]);
    });

    test("a last use far in the future, or none at all, is not believed", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a", "0/b", "0/c"));
      await changeRow("meta", rowKey("0/a"), (row: object) => ({ ...row, lastUsedMs: NOON_MS + 2 * DAY_MS }));
      await changeRow("meta", rowKey("0/b"), () => "garbage");
      const { index, store: later } = await openStore();
      expect(index.keys).toEqual(["0/c"]);
      await checkIntegrity(later);
    });
  });

  describe("bytes written today", () => {
    test("are counted over sessions until midnight UTC; rows of earlier days are deleted at open", async () => {
      const clock = { nowMs: NOON_MS };
      const { store } = await openStore({}, clock);
      await store.write(0, chunks("0/a", "0/b"));
      await store.clear();
      store.close();
      const { store: second, index } = await openStore({}, clock);
      expect(index.usage.bytesWrittenToday).toBe(128);
      expect((await second.write(1, chunks("0/c"))).usage.bytesWrittenToday).toBe(192);
      clock.nowMs += DAY_MS / 2 - 1;
      expect((await second.write(1, [])).usage.bytesWrittenToday).toBe(192);
      clock.nowMs += 1;
      expect((await second.write(1, [])).usage.bytesWrittenToday).toBe(0);
      expect((await second.write(1, chunks("0/d"))).usage.bytesWrittenToday).toBe(64);
      const days = async () =>
        Object.fromEntries(Object.entries(await rowsOf("meta")).filter(([key]) => key.startsWith("day/")));
      const row = (day: string) => `day/${namespaceHash("app")}/${day}`;
      expect(await days()).toEqual({ [row("2026-11-25")]: 192, [row("2026-11-26")]: 64 });
      const third = makeStore(clock);
      await openIndex(third);
      await third.flush();
      expect(await days()).toEqual({ [row("2026-11-26")]: 64 });
    });
  });
});
