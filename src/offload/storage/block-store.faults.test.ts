import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { promised } from "../../testing/block-rows";
import type { BlockRecord } from "./block-record";
import {
  failCommits,
  failOpens,
  failRequests,
  openForeignVersion,
  watchConnections,
} from "./block-store.faults.fixture";
import {
  changeRow,
  checkIntegrity,
  chunk,
  chunks,
  makeStore,
  OPTIONS,
  openStore,
  overBothBackends,
  readable,
  resetIndexedDb,
  rowKey,
  rowsOf,
} from "./block-store.fixture";

overBothBackends(() => {
  beforeEach(resetIndexedDb);
  afterEach(() => vi.restoreAllMocks());

  const keys = (count: number) => Array.from({ length: count }, (_, i) => `0/${String.fromCharCode(97 + i)}`);

  describe.each([
    { where: "at a put", fail: (times: number) => failRequests("put", "QuotaExceededError", times) },
    { where: "at the commit", fail: (times: number) => failCommits("QuotaExceededError", times) },
    {
      where: "at the commit, and not by its requests",
      fail: (times: number) => failCommits("QuotaExceededError", times, { hasAnswers: false }),
    },
  ])("no more room, told $where", ({ where, fail }) => {
    test("once: what was used longest ago goes until 80 % are left, and the write is tried again", async () => {
      const { store } = await openStore();
      for (const key of keys(10)) await store.write(0, [chunk(key)]);
      fail(1);
      const result = await store.write(0, chunks("0/b", "0/y", "0/z"));
      expect([result.written, result.evicted, result.fault]).toEqual([["0/b", "0/y", "0/z"], ["0/a", "0/c"], null]);
      expect(result.usage).toMatchObject({ bytes: 10 * 64, bytesWrittenToday: 12 * 64 });
      await checkIntegrity(store);
    });

    test("again: a fault; what went for it is told, what was to be written is not there", async () => {
      const { store } = await openStore();
      for (const key of keys(5)) await store.write(0, [chunk(key)]);
      // The room is made in between, by a commit of its own.
      if (where === "at a put") fail(2);
      else failCommitsOfPuts();
      const result = await store.write(0, chunks("0/z"));
      expect([result.written, result.evicted, result.fault?.code]).toEqual([[], ["0/a"], "quota"]);
      expect(result.buffers).toHaveLength(1);
      expect(await readable(store, "0/a", "0/b", "0/z")).toEqual(["0/b"]);
      await checkIntegrity(store);
      vi.restoreAllMocks();
      expect((await store.write(0, chunks("0/z"))).written).toEqual(["0/z"]);
    });
  });

  /** Every commit of a transaction that puts a record aborts. */
  function failCommitsOfPuts(): void {
    const { put } = IDBObjectStore.prototype;
    const putting = new Set<IDBTransaction>();
    vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (this: IDBObjectStore, ...args) {
      if (this.name === "blocks") putting.add(this.transaction);
      return put.apply(this, args);
    });
    const { commit } = IDBTransaction.prototype;
    vi.spyOn(IDBTransaction.prototype, "commit").mockImplementation(function (this: IDBTransaction) {
      if (putting.has(this)) (this as IDBTransaction & { _abort(name: string): void })._abort("QuotaExceededError");
      else commit.call(this);
    });
  }

  describe("opening", () => {
    test.each(["SecurityError", "InvalidStateError", "NotSupportedError"])("%s: unavailable", async (name) => {
      failOpens({ name });
      expect((await makeStore().open(OPTIONS)).fault).toEqual({ code: "unavailable", message: `${name}: injected` });
    });

    test("no IndexedDB: unavailable", async () => {
      vi.stubGlobal("indexedDB", undefined);
      const { index, fault } = await makeStore().open(OPTIONS);
      vi.unstubAllGlobals();
      expect([index, fault]).toEqual([null, { code: "unavailable", message: "There is no IndexedDB here." }]);
    });

    const backingStore = { name: "UnknownError", message: "Internal error opening backing store for indexedDB.open." };

    test("a backing store that cannot be read is deleted, once, and made anew", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a"));
      store.close();
      failOpens(backingStore);
      const deletion = vi.spyOn(indexedDB, "deleteDatabase");
      const reopened = await openStore();
      expect([reopened.index.keys, deletion.mock.calls]).toEqual([[], [["cairn-kv"]]]);
      expect((await reopened.store.write(0, chunks("0/b"))).written).toEqual(["0/b"]);
    });

    test("if that does not help: a fault", async () => {
      const opens = failOpens(backingStore, 2);
      const deletion = vi.spyOn(indexedDB, "deleteDatabase");
      expect((await makeStore().open(OPTIONS)).fault?.code).toBe("closed");
      expect([opens.numOpens, deletion.mock.calls.length]).toEqual([2, 1]);
    });

    test("a server of databases that was lost is asked again, and nothing deleted", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a"));
      failOpens({ name: "UnknownError", message: "Connection to Indexed Database server lost." });
      expect((await openStore()).index.keys).toEqual(["0/a"]);
    });

    test("a database that is not ours is made anew", async () => {
      (await promised(indexedDB.open("cairn-kv", 1))).close();
      const { store } = await openStore();
      expect((await store.write(0, chunks("0/a"))).written).toEqual(["0/a"]);
    });

    test("one of a later version is left alone", async () => {
      await openForeignVersion();
      expect((await makeStore().open(OPTIONS)).fault?.code).toBe("closed");
      expect((await promised(indexedDB.open("cairn-kv"))).version).toBe(2);
    });

    test("a store that is closed while it opens keeps no connection", async () => {
      const store = makeStore();
      const connections = watchConnections(() => store.close());
      const opening = store.open(OPTIONS);
      const closed = { code: "closed", message: "The store was closed." };
      expect((await opening).fault).toEqual(closed);
      expect(connections).toHaveLength(1);
      expect(() => connections[0].transaction("meta")).toThrow();
      expect((await store.write(0, chunks("0/a"))).fault).toEqual(closed);
    });

    test("a store that is closed gives its connection up", async () => {
      const connections = watchConnections();
      const { store } = await openStore();
      connections[0].transaction("meta");
      store.close();
      expect(() => connections[0].transaction("meta")).toThrow();
    });
  });

  describe("the connection", () => {
    test("gives way to a later version at once; then there is a fault", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a"));
      await openForeignVersion();
      expect(await store.read(chunks("0/a"))).toMatchObject({ chunks: [null], fault: { code: "closed" } });
      expect((await store.clear()).fault?.code).toBe("closed");
    });

    test("gives way to a deletion; what was there is gone, and the store goes on", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a", "0/b"));
      await store.touch(["0/a"]);
      await promised(indexedDB.deleteDatabase("cairn-kv"));
      expect(await readable(store, "0/a")).toEqual([]);
      const result = await store.write(0, chunks("0/b"));
      expect([result.written, result.usage.bytes]).toEqual([["0/b"], 64]);
      await checkIntegrity(store);
    });

    test("that the browser closes is made anew for the next call", async () => {
      const connections = watchConnections();
      const { store } = await openStore();
      await store.write(0, chunks("0/a"));
      await store.touch(["0/a"]);
      connections[0].dispatchEvent(new IDBVersionChangeEvent("close"));
      expect(await readable(store, "0/a")).toEqual(["0/a"]);
      expect(connections).toHaveLength(2);
      await store.flush();
      await checkIntegrity(store);
    });

    test.each(["InvalidStateError", "UnknownError", "AbortError"])(
      "%s in a call: a new one, and the call again",
      async (name) => {
        const { store } = await openStore();
        await store.write(0, chunks("0/a"));
        const connections = watchConnections();
        failRequests("put", name);
        expect((await store.write(0, chunks("0/b"))).written).toEqual(["0/b"]);
        failRequests("get", name);
        expect(await readable(store, "0/a", "0/b")).toEqual(["0/a", "0/b"]);
        failCommits(name);
        expect((await store.clear()).clearEpoch).toBe(1);
        expect(connections).toHaveLength(3);
        await checkIntegrity(store);
      },
    );

    test("that is lost twice in a call: a fault; the next call has a new one", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a"));
      failRequests("get", "UnknownError", 2);
      expect(await store.read(chunks("0/a"))).toMatchObject({ chunks: [null], fault: { code: "closed" } });
      expect(await readable(store, "0/a")).toEqual(["0/a"]);
    });

    test("uses that are not written down survive its loss", async () => {
      const connections = watchConnections();
      const clock = { nowMs: 1_000_000 };
      const { store } = await openStore({}, clock);
      await store.write(0, chunks("0/a", "0/b"));
      clock.nowMs += 500;
      await store.touch(["0/b"]);
      connections[0].close();
      await store.flush();
      expect((await rowsOf("meta"))[rowKey("0/b")]).toMatchObject({ lastUsedMs: 1_000_500 });
    });

    test("any other failure is told as it is, and leaves nothing half done", async () => {
      const { store } = await openStore();
      failRequests("put", "DataCloneError", 1, "0/b");
      const result = await store.write(0, chunks("0/a", "0/b"));
      expect([result.written, result.fault]).toEqual([
        [],
        { code: "unknown", message: expect.stringMatching(/^DataCloneError/) },
      ]);
      expect(await rowsOf("blocks")).toEqual({});
      await checkIntegrity(store);
    });
  });

  describe("a record that is not what was written", () => {
    const flipByte = ({ bytes, ...rest }: BlockRecord) => {
      const copy = new Uint8Array(bytes.slice(0));
      copy[17] ^= 1;
      return { ...rest, bytes: copy.buffer };
    };

    test.each<[string, (record: BlockRecord) => unknown]>([
      ["a flipped bit", flipByte],
      ["truncated", (record) => ({ ...record, bytes: record.bytes.slice(0, 63) })],
      ["too long", (record) => ({ ...record, bytes: new ArrayBuffer(65) })],
      ["no bytes", ({ bytes: _, ...rest }) => rest],
      ["bytes of another kind", (record) => ({ ...record, bytes: new Uint8Array(64) })],
      ["another format", (record) => ({ ...record, format: 2 })],
      ["another parent", (record) => ({ ...record, parent: "somebody's" })],
      ["another token", (record) => ({ ...record, tokenIds: record.tokenIds.with(3, 1000) })],
      ["another key", (record) => ({ ...record, key: rowKey("0/b") })],
      ["another checksum", (record) => ({ ...record, checksum: "xxh64:0000000000000000" })],
      ["no checksum", ({ checksum: _, ...rest }) => rest],
      ["not a record", () => "garbage"],
    ])("%s: corrupt and deleted, the others are read", async (_, change) => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a", "0/b", "0/c"));
      await changeRow("blocks", rowKey("0/a"), change);
      const { chunks: read, fault } = await store.read(chunks("0/a", "0/b", "0/c"));
      expect(read.map((bytes) => bytes !== null)).toEqual([false, true, true]);
      expect(fault).toEqual({ code: "corrupt", message: "1 of 3 records were not what was written." });
      expect(Object.keys(await rowsOf("blocks"))).toEqual([rowKey("0/b"), rowKey("0/c")]);
      await checkIntegrity(store);
      expect((await store.write(0, chunks("0/a"))).usage.bytesWrittenToday).toBe(4 * 64);
      expect(await readable(store, "0/a")).toEqual(["0/a"]);
    });

    test("two that were swapped are both corrupt", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a", "0/b"));
      const { [rowKey("0/a")]: a, [rowKey("0/b")]: b } = await rowsOf("blocks");
      await changeRow("blocks", rowKey("0/a"), () => b);
      await changeRow("blocks", rowKey("0/b"), () => a);
      expect(await store.read(chunks("0/a", "0/b"))).toMatchObject({
        chunks: [null, null],
        fault: { code: "corrupt" },
      });
      expect(await rowsOf("blocks")).toEqual({});
    });

    test("two groups' records of the same tokens, swapped, are both corrupt", async () => {
      const { store } = await openStore();
      const both = [chunk("0/a"), { ...chunk("1/a"), header: chunk("0/a").header }];
      await store.write(0, both);
      const { [rowKey("0/a")]: a, [rowKey("1/a")]: b } = await rowsOf("blocks");
      await changeRow("blocks", rowKey("0/a"), () => b);
      await changeRow("blocks", rowKey("1/a"), () => a);
      expect(await store.read(both)).toMatchObject({ chunks: [null, null], fault: { code: "corrupt" } });
    });

    test("one that was computed from other tokens than those asked for is not given out", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a"));
      const asked = { key: "0/a", header: chunk("0/a", "another seed").header };
      expect(await store.read([asked])).toMatchObject({ chunks: [null], fault: { code: "corrupt" } });
    });

    test("one that cannot be deleted is written anew by the next write", async () => {
      const { store } = await openStore();
      await store.write(0, chunks("0/a"));
      await changeRow("blocks", rowKey("0/a"), flipByte);
      failRequests("delete", "DataError");
      expect((await store.read(chunks("0/a"))).fault?.code).toBe("corrupt");
      expect((await store.write(0, chunks("0/a"))).usage).toMatchObject({ bytes: 64, bytesWrittenToday: 128 });
      expect(await readable(store, "0/a")).toEqual(["0/a"]);
      await checkIntegrity(store);
    });

    test.each(["DataError", "NotReadableError"])(
      "one whose bytes are gone (%s) is corrupt, the others are read",
      async (name) => {
        const { store } = await openStore();
        await store.write(0, chunks("0/a", "0/b", "0/c"));
        failRequests("get", name, 2, "0/b");
        const { chunks: read, fault } = await store.read(chunks("0/a", "0/b", "0/c"));
        expect([read.map((bytes) => bytes !== null), fault?.code]).toEqual([[true, false, true], "corrupt"]);
        expect(Object.keys(await rowsOf("blocks"))).toEqual([rowKey("0/a"), rowKey("0/c")]);
        await checkIntegrity(store);
      },
    );
  });

  describe("without WebAssembly", () => {
    /** Of a page whose Content-Security-Policy refuses it. */
    async function openWithoutWebAssembly() {
      const refuse = () => Promise.reject(new WebAssembly.CompileError("refused"));
      const spy = vi.spyOn(WebAssembly, "instantiate").mockImplementation(refuse);
      const opened = await openStore();
      spy.mockRestore();
      return opened;
    }

    test("what xxh64 was made of is a miss and stays; a write of it is made anew", async () => {
      const { store: xxh } = await openStore();
      await xxh.write(0, chunks("0/a", "0/b"));
      const { store, index } = await openWithoutWebAssembly();
      expect(index.keys).toEqual(["0/a", "0/b"]);
      expect(await readable(store, "0/a", "0/b")).toEqual([]);
      expect(Object.keys(await rowsOf("blocks"))).toHaveLength(2);
      expect((await store.write(0, chunks("0/a"))).usage).toMatchObject({ bytes: 128, bytesWrittenToday: 192 });
      const record = (await rowsOf("blocks"))[rowKey("0/a")];
      expect(record).toMatchObject({ checksum: expect.stringMatching(/^crc32:[0-9a-f]{8}$/) });
      expect(await readable(store, "0/a", "0/b")).toEqual(["0/a"]);
      expect(await readable(xxh, "0/a", "0/b")).toEqual(["0/a", "0/b"]);
      await checkIntegrity(store);
    });

    test("CRC-32 tells a flipped bit", async () => {
      const { store } = await openWithoutWebAssembly();
      await store.write(0, chunks("0/a"));
      await changeRow("blocks", rowKey("0/a"), (record: BlockRecord) => {
        const bytes = new Uint8Array(record.bytes).with(0, new Uint8Array(record.bytes)[0] ^ 0x80);
        return { ...record, bytes: bytes.buffer };
      });
      expect((await store.read(chunks("0/a"))).fault?.code).toBe("corrupt");
    });
  });
});
