import { beforeEach, describe, expect, test, vi } from "vitest";
import { inDatabase, promised } from "../../testing/block-rows";
import {
  bytesOf,
  CHUNK_BYTES,
  checkIntegrity,
  chunk,
  chunks,
  makeStore,
  NOON_MS,
  namespaceHash,
  OPTIONS,
  OTHER_FINGERPRINT,
  openIndex,
  openStore,
  overBothBackends,
  readable,
  resetIndexedDb,
  rowKey,
  rowsOf,
} from "./block-store.fixture";

const STAMP_MS = 2 ** -10;

overBothBackends(() => {
  beforeEach(resetIndexedDb);

  describe("open", () => {
    test("of an empty database: no keys, epoch 0, nothing used", async () => {
      const { index, store } = await openStore();
      const usage = { bytes: 0, maxBytes: 100 * CHUNK_BYTES, bytesWrittenToday: 0 };
      expect(index).toEqual({ keys: [], clearEpoch: 0, usage });
      store.close();
    });

    test("names what an earlier session wrote, in its namespace and of its fingerprint", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a", "1/b"));
      store.close();
      const keysOf = async (options: object) => (await openStore(options)).index.keys;
      expect(await keysOf({})).toEqual(["0/a", "1/b"]);
      expect(await keysOf({ fingerprint: OTHER_FINGERPRINT })).toEqual([]);
      expect(await keysOf({ namespace: "app/" })).toEqual([]);
    });

    test.each([
      { estimated: { quota: 10_000, usage: 4000 }, maxBytes: 3000 },
      { estimated: { quota: 10_001, usage: 4000 }, maxBytes: 3000 },
      { estimated: { quota: 1000, usage: 4000 }, maxBytes: 0 },
      { estimated: { quota: 2 ** 40, usage: 0 }, maxBytes: 2 ** 31 },
      { estimated: null, maxBytes: 2 ** 31 },
    ])("$estimated: a cap of $maxBytes where none is given", async ({ estimated, maxBytes }) => {
      const store = makeStore(undefined, { estimate: () => Promise.resolve(estimated) });
      expect((await openIndex(store, { maxBytes: null })).usage.maxBytes).toBe(maxBytes);
    });

    test("what is held counts as free: the cap stays from session to session", async () => {
      const caps = [];
      for (const [usage, key] of [
        [1000, "0/a"],
        [1064, "0/b"],
        [1128, "0/c"],
      ] as const) {
        const store = makeStore(undefined, { estimate: () => Promise.resolve({ quota: 1400, usage }) });
        caps.push((await openIndex(store, { maxBytes: null })).usage.maxBytes);
        await store.write(0, chunks(key));
        store.close();
      }
      expect(caps).toEqual([200, 200, 200]);
      expect((await openStore()).index.keys).toEqual(["0/a", "0/b", "0/c"]);
    });

    test("an estimate that fails is none", async () => {
      const store = makeStore(undefined, { estimate: () => Promise.reject(new TypeError("insecure")) });
      expect((await openIndex(store, { maxBytes: null })).usage.maxBytes).toBe(2 ** 31);
    });
  });

  describe("write", () => {
    test("puts records and metas under keys that sort by namespace, fingerprint, key", async () => {
      const { store } = await openStore();
      const [a, b] = chunks("0/a", "1/b");
      const result = await store.write(0, [a, b]);
      const usage = { bytes: 128, maxBytes: 6400, bytesWrittenToday: 128 };
      expect(result).toEqual({ written: ["0/a", "1/b"], evicted: [], buffers: [a.bytes, b.bytes], usage, fault: null });
      const record = {
        format: 1,
        key: rowKey("0/a"),
        ...a.header,
        checksum: expect.stringMatching(/^xxh64:[0-9a-f]{16}$/),
      };
      const blocks = await rowsOf("blocks");
      expect(Object.keys(blocks)).toEqual([rowKey("0/a"), rowKey("1/b")]);
      expect(blocks[rowKey("0/a")]).toEqual({ ...record, bytes: a.bytes });
      expect(await rowsOf("meta")).toEqual({
        [rowKey("0/a")]: { bytes: 64, lastUsedMs: NOON_MS + STAMP_MS, parent: a.header.parent },
        [rowKey("1/b")]: { bytes: 64, lastUsedMs: NOON_MS, parent: b.header.parent },
        [`day/${namespaceHash("app")}/2026-11-25`]: 128,
      });
      await checkIntegrity(store);
    });

    test("a namespace may be any text", async () => {
      const names = ["", "/", "app", "app/", "a\u0000b", "\ud800", "\ud801", "名前", "x".repeat(10_000)];
      for (const namespace of names) {
        const { store } = await openStore({ namespace });
        expect((await store.write(0, [chunk(`0/${names.indexOf(namespace)}`)])).fault).toBeNull();
        store.close();
      }
      for (const namespace of names) {
        expect((await openStore({ namespace })).index.keys).toEqual([`0/${names.indexOf(namespace)}`]);
      }
    });

    test("is one relaxed transaction over both stores, which holds nothing up", async () => {
      const { store } = await openStore();
      const transaction = vi.spyOn(IDBDatabase.prototype, "transaction");
      const commit = vi.spyOn(IDBTransaction.prototype, "commit");
      await store.write(0, chunks("0/a", "0/b", "0/c"));
      expect(transaction.mock.calls).toEqual([[["blocks", "meta"], "readwrite", { durability: "relaxed" }]]);
      expect(commit).toHaveBeenCalledOnce();
      vi.restoreAllMocks();
    });

    test("what is there counts as written, is not put again, and is used now", async () => {
      const clock = { nowMs: NOON_MS };
      const { store } = await openStore({}, clock);
      await store.write(0, chunks("0/a", "0/b"));
      clock.nowMs += 1000;
      const result = await store.write(0, chunks("0/b", "0/c", "0/c"));
      expect([result.written, result.usage.bytesWrittenToday]).toEqual([["0/b", "0/c", "0/c"], 192]);
      await store.flush();
      const used = Object.values(await rowsOf("meta")).map((row) => (row as { lastUsedMs: number }).lastUsedMs);
      expect(used.slice(0, 3)).toEqual([NOON_MS + STAMP_MS, NOON_MS + 1000 + STAMP_MS, NOON_MS + 1000]);
      await checkIntegrity(store);
    });

    test("of an earlier epoch is refused: nothing is written, and that is no fault", async () => {
      const { store } = await openStore();
      const before = store.write(0, chunks("0/a"));
      const clear = store.clear();
      const after = store.write(0, chunks("0/b"));
      expect([(await before).written, (await clear).clearEpoch, (await after).written]).toEqual([["0/a"], 1, []]);
      expect((await after).fault).toBeNull();
      expect((await after).buffers).toHaveLength(1);
      expect(await rowsOf("blocks")).toEqual({});
      expect((await store.write(1, chunks("0/b"))).written).toEqual(["0/b"]);
      await checkIntegrity(store);
    });

    test("knows what another tab wrote, deleted or cleared since", async () => {
      const [{ store: mine }, { store: theirs }] = [await openStore(), await openStore()];
      await theirs.write(0, chunks("0/a"));
      expect(await readable(mine, "0/a")).toEqual(["0/a"]);
      const both = await mine.write(0, chunks("0/a", "0/b"));
      expect([both.written, both.usage.bytesWrittenToday, both.usage.bytes]).toEqual([["0/a", "0/b"], 128, 128]);
      await inDatabase(async (tx) => {
        await promised(tx.objectStore("meta").delete(rowKey("0/a")));
        await promised(tx.objectStore("blocks").delete(rowKey("0/a")));
      });
      expect((await mine.write(0, chunks("0/a"))).usage).toMatchObject({ bytes: 128, bytesWrittenToday: 192 });
      await theirs.clear();
      expect((await mine.write(0, chunks("0/c"))).written).toEqual([]);
      expect((await mine.write(1, chunks("0/b"))).usage.bytes).toBe(64);
      await theirs.clear();
      await theirs.clear();
      expect((await mine.write(1, chunks("0/c"))).written).toEqual([]);
      expect(await openIndex(mine)).toMatchObject({ keys: [], clearEpoch: 3, usage: { bytes: 0 } });
      expect((await mine.write(3, chunks("0/c"))).written).toEqual(["0/c"]);
      await checkIntegrity(mine);
    });
  });

  describe("read", () => {
    test("gives the bytes in the order of what was asked for, null for what is not there", async () => {
      const { store } = await openStore();
      const keys = Array.from({ length: 11 }, (_, i) => `0/${String.fromCharCode(97 + i)}`);
      await store.write(0, chunks(...keys));
      const asked = ["0/z", ...keys.toReversed(), "1/a"];
      const { chunks: read, fault } = await store.read(chunks(...asked));
      expect(fault).toBeNull();
      expect(read.map((bytes) => bytes && new Uint8Array(bytes))).toEqual([
        null,
        ...keys.toReversed().map(bytesOf),
        null,
      ]);
      expect(await store.read([])).toEqual({ chunks: [], fault: null });
    });

    test("is one transaction, with four records on their way at most", async () => {
      const { store } = await openStore();
      const keys = Array.from({ length: 10 }, (_, i) => `0/${i}`);
      await store.write(0, chunks(...keys));
      const transaction = vi.spyOn(IDBDatabase.prototype, "transaction");
      const { get } = IDBObjectStore.prototype;
      let [numInFlight, mostInFlight] = [0, 0];
      vi.spyOn(IDBObjectStore.prototype, "get").mockImplementation(function (this: IDBObjectStore, key) {
        const request = get.call(this, key);
        if (this.name !== "blocks") return request;
        numInFlight += 1;
        mostInFlight = Math.max(mostInFlight, numInFlight);
        request.addEventListener("success", () => {
          numInFlight -= 1;
        });
        return request;
      });
      await store.read(chunks(...keys));
      expect([transaction.mock.calls.length, mostInFlight]).toEqual([1, 4]);
      vi.restoreAllMocks();
    });

    test("a record that another tab deleted is a miss, without fault, and is forgotten", async () => {
      const [{ store }, { store: theirs }] = [await openStore(), await openStore()];
      await store.write(0, chunks("0/a", "0/b"));
      await theirs.clear();
      await theirs.write(1, chunks("0/b"));
      const transaction = vi.spyOn(IDBDatabase.prototype, "transaction");
      expect(await readable(store, "0/a", "0/b")).toEqual(["0/b"]);
      expect(transaction).toHaveBeenCalledOnce();
      vi.restoreAllMocks();
      await checkIntegrity(store);
    });

    test("half of a record is a miss, and deleted", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a", "0/b", "0/c"));
      await inDatabase((tx) => promised(tx.objectStore("blocks").delete(rowKey("0/a"))));
      await inDatabase((tx) => promised(tx.objectStore("meta").delete(rowKey("0/b"))));
      expect(await readable(store, "0/a", "0/b", "0/c")).toEqual(["0/c"]);
      expect(Object.keys(await rowsOf("blocks"))).toEqual([rowKey("0/c")]);
      await checkIntegrity((await openStore()).store);
    });
  });

  test("a deleted chunk is not found again, not even by another store; the others are, and it can be written anew", async () => {
    const { store } = await openStore();
    await store.write(0, chunks("0/a", "0/b"));
    await store.delete(["0/a", "0/unknown"]);
    expect(await readable(store, "0/a", "0/b")).toEqual(["0/b"]);
    const { store: later, index } = await openStore();
    expect([index.keys, index.usage.bytes]).toEqual([["0/b"], CHUNK_BYTES]);
    expect((await later.write(0, chunks("0/a"))).written).toEqual(["0/a"]);
    expect(await readable(later, "0/a", "0/b")).toEqual(["0/a", "0/b"]);
  });

  describe("touch", () => {
    test("is written down by flush, tail before head", async () => {
      const clock = { nowMs: NOON_MS };
      const { store } = await openStore({}, clock);
      await store.write(0, chunks("0/a", "0/b", "0/c"));
      clock.nowMs += 5;
      await store.touch(["0/a", "0/unknown", "0/c"]);
      const usedMs = async () => {
        const rows = Object.entries(await rowsOf("meta")).filter(([key]) => !key.startsWith("day/"));
        return rows.map(([, row]) => (row as { lastUsedMs: number }).lastUsedMs - NOON_MS);
      };
      expect(await usedMs()).toEqual([2 * STAMP_MS, STAMP_MS, 0]);
      await store.flush();
      expect(await usedMs()).toEqual([5 + STAMP_MS, STAMP_MS, 5]);
    });

    test("is written down after a while, many at once; a closed store leaves no timer", async () => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      const { store } = await openStore();
      await store.write(0, chunks("0/a", "0/b"));
      const transaction = vi.spyOn(IDBDatabase.prototype, "transaction");
      for (let i = 0; i < 5; i++) await store.touch(["0/a", "0/b"]);
      expect([transaction.mock.calls.length, vi.getTimerCount()]).toEqual([0, 1]);
      vi.advanceTimersByTime(3000);
      await store.flush();
      expect([transaction.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0]);
      await store.touch(["0/unknown"]);
      expect(vi.getTimerCount()).toBe(0);
      await store.touch(["0/a"]);
      store.close();
      expect(vi.getTimerCount()).toBe(0);
      vi.restoreAllMocks();
      vi.useRealTimers();
    });

    test("does not bring back a row that another tab deleted", async () => {
      const [{ store: mine }, { store: theirs }] = [await openStore(), await openStore()];
      await mine.write(0, chunks("0/a"));
      await mine.touch(["0/a"]);
      await theirs.clear();
      await mine.flush();
      expect(await rowsOf("blocks")).toEqual({});
      expect(Object.keys(await rowsOf("meta")).filter((key) => key === rowKey("0/a"))).toEqual([]);
    });
  });

  describe("clear", () => {
    test("deletes the namespace, all fingerprints of it, and nothing else", async () => {
      const stores = [];
      for (const options of [{}, { fingerprint: OTHER_FINGERPRINT }, { namespace: "other" }]) {
        const { store } = await openStore(options);
        await store.write(0, chunks("0/a"));
        stores.push(store);
      }
      const usage = { bytes: 0, maxBytes: 6400, bytesWrittenToday: 64 };
      expect(await stores[0].clear()).toEqual({ clearEpoch: 1, usage, fault: null });
      expect(Object.keys(await rowsOf("blocks"))).toEqual([rowKey("0/a", { namespace: "other" })]);
      expect((await rowsOf("meta"))[`epoch/${namespaceHash("app")}`]).toBe(1);
      expect((await openStore()).index).toMatchObject({ keys: [], clearEpoch: 1 });
      expect((await openStore({ namespace: "other" })).index).toMatchObject({ keys: ["0/a"], clearEpoch: 0 });
      expect((await stores[1].clear()).clearEpoch).toBe(2);
    });
  });

  test("calls before open fail, and do not reject", async () => {
    const store = makeStore();
    const fault = { code: "unknown", message: "CairnError: the store is used before it is opened" };
    expect((await store.write(0, chunks("0/a"))).fault).toEqual(fault);
    expect(await store.read(chunks("0/a"))).toEqual({ chunks: [null], fault });
    expect((await store.clear()).fault).toEqual(fault);
    await store.touch(["0/a"]);
    await store.flush();
    expect((await store.open(OPTIONS)).fault).toBeNull();
  });
});
