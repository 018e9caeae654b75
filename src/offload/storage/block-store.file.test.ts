import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { BlockStore } from "./block-store";
import { failCommits } from "./block-store.faults.fixture";
import {
  bytesOf,
  CHUNK_BYTES,
  checkIntegrity,
  chunk,
  chunks,
  forgetFiles,
  makeStore,
  namespaceHash,
  openIndex,
  rawRows,
  readable,
  resetToFile,
  rowKey,
} from "./block-store.fixture";
import type { FakeFiles } from "./record-file.fixture";
import type { StorageOptions } from "./storage-api";

const FILE = namespaceHash("app");
let files: FakeFiles;
beforeEach(() => {
  files = resetToFile();
});
afterEach(() => {
  vi.restoreAllMocks();
  forgetFiles();
});

async function openOver(
  openFile: FakeFiles["open"] | null,
  options: Partial<StorageOptions> = {},
): Promise<BlockStore> {
  const store = makeStore(undefined, { openFile: openFile ?? (() => Promise.resolve(null)) });
  await openIndex(store, options);
  return store;
}

const openWithFile = (options?: Partial<StorageOptions>) => openOver(files.open, options);
const openWithoutFile = () => openOver(null);
const placeIn = async (key: string) => ((await rawRows()).meta[rowKey(key)] as { place?: unknown } | undefined)?.place;
const size = () => files.bytesOf(FILE).length;

test("bytes lie in the file, one record behind the other, and not in the database; rows say where", async () => {
  const store = await openWithFile();
  await store.write(0, chunks("0/a", "0/b"));
  const { blocks, meta } = await rawRows();
  expect(Object.values(blocks)).toMatchObject([{ bytes: null }, { bytes: null }]);
  // The tail is put first.
  expect([await placeIn("0/b"), await placeIn("0/a")]).toEqual([[[0, 64]], [[64, 128]]]);
  expect(meta[`space/${FILE}`]).toEqual({ end: 128, free: [] });
  expect([...files.bytesOf(FILE)]).toEqual([...bytesOf("0/b"), ...bytesOf("0/a")]);
  store.close();
  expect(files.numOpen).toBe(0);
});

test('"indexeddb": no file is opened', async () => {
  const store = await openWithFile({ backend: "indexeddb" });
  await store.write(0, chunks("0/a"));
  expect([await readable(store, "0/a"), files.numOpen, await placeIn("0/a")]).toEqual([["0/a"], 0, undefined]);
});

test("a store that is closed while its file is opened leaves none open", async () => {
  const store = makeStore(undefined, {
    openFile: async (name) => {
      store.close();
      return files.open(name);
    },
  });
  await store.open({ namespace: "app", fingerprint: "f", chunkBytes: 64, maxBytes: null, ttlMs: 1, backend: "auto" });
  expect(files.numOpen).toBe(0);
});

test("a file that may not grow: room is made in it, and the write is tried again", async () => {
  files.maxBytes = 5.5 * CHUNK_BYTES;
  const store = await openWithFile();
  await store.write(0, chunks("0/a", "0/b", "0/c", "0/d", "0/e"));
  expect(await store.write(0, chunks("0/f"))).toMatchObject({ written: ["0/f"], evicted: ["0/e"], fault: null });
  expect([await readable(store, "0/a", "0/d", "0/e", "0/f"), size()]).toEqual([["0/a", "0/d", "0/f"], 5 * CHUNK_BYTES]);
  // More than that makes.
  const { written, evicted, fault } = await store.write(0, chunks("0/g", "0/h"));
  expect([written, evicted, fault?.code]).toEqual([[], ["0/c"], "quota"]);
  expect([await readable(store, "0/a", "0/f", "0/g"), size()]).toEqual([["0/a", "0/f"], 5 * CHUNK_BYTES]);
  await checkIntegrity(store);
});

test("the bytes of an eviction are not written over before it is durable", async () => {
  const store = await openWithFile({ maxBytes: 2 * CHUNK_BYTES });
  await store.write(0, chunks("0/a", "0/b"));
  failCommits("UnknownError", 2);
  expect((await store.write(0, chunks("0/c", "0/d"))).fault?.code).toBe("closed");
  expect(await readable(store, "0/a", "0/b", "0/c")).toEqual(["0/a", "0/b"]);
  expect((await store.write(0, chunks("0/c", "0/d"))).evicted.toSorted()).toEqual(["0/a", "0/b"]);
  expect(await readable(store, "0/c", "0/d")).toEqual(["0/c", "0/d"]);
  // Then they are, and the file grows no more.
  await store.write(0, chunks("0/e", "0/f"));
  await store.write(0, chunks("0/g", "0/h"));
  expect([await readable(store, "0/e", "0/g", "0/h"), size()]).toEqual([["0/g", "0/h"], 4 * CHUNK_BYTES]);
  await checkIntegrity(store);
});

test("while bytes are written, their record is nowhere, and the record that lay there is deleted", async () => {
  const store = await openWithFile({ maxBytes: CHUNK_BYTES });
  await store.write(0, chunks("0/a"));
  await store.write(0, chunks("0/b"));
  const seen: unknown[] = [];
  const reads: Promise<unknown>[] = [];
  const theirs = await openWithFile();
  files.onWrite = () => {
    // Asked while the transaction is under way, answered when it has ended.
    reads.push(readable(theirs, "0/a", "0/b", "0/c").then((found) => seen.push(found)));
  };
  await store.write(0, chunks("0/c"));
  await Promise.all(reads);
  expect([await placeIn("0/c"), seen]).toEqual([[[0, 64]], [["0/c"]]]);
});

test("a use is written down where another tab has written the record anew: its place stays", async () => {
  const mine = await openWithFile();
  await mine.write(0, chunks("0/a", "0/b"));
  const theirs = await openWithFile();
  await mine.touch(["0/a"]);
  await theirs.delete(["0/a", "0/b"]);
  await theirs.write(0, chunks("0/c", "0/a"));
  await mine.flush();
  expect([await placeIn("0/a"), await placeIn("0/c")]).toEqual([[[0, 64]], [[64, 128]]]);
  expect(await readable(theirs, "0/a", "0/c")).toEqual(["0/a", "0/c"]);
  await checkIntegrity(theirs);
});

test("a store without the file: what lies there is a miss and stays; written anew it is everybody's", async () => {
  const mine = await openWithFile();
  await mine.write(0, chunks("0/a", "0/b"));
  const theirs = await openWithoutFile();
  expect(await readable(theirs, "0/a", "0/b")).toEqual([]);
  expect(await readable(mine, "0/a", "0/b")).toEqual(["0/a", "0/b"]);
  expect((await theirs.write(0, chunks("0/a"))).written).toEqual(["0/a"]);
  expect([await placeIn("0/a"), await placeIn("0/b")]).toEqual([undefined, [[0, 64]]]);
  for (const store of [mine, theirs]) expect(await readable(store, "0/a")).toEqual(["0/a"]);
  await theirs.delete(["0/b"]);
  await mine.write(0, chunks("0/c"));
  expect(await placeIn("0/c")).toEqual([[0, 64]]);
  await checkIntegrity(await openWithFile());
});

test("without room for anything a store opens, and reads", async () => {
  const store = await openWithFile();
  await store.write(0, chunks("0/a"));
  failCommits("QuotaExceededError", 1);
  expect(await readable(await openWithFile(), "0/a")).toEqual(["0/a"]);
});

test("a file that can be used no more: its records are misses and stay, and what is written lies in the database", async () => {
  const store = await openWithFile();
  await store.write(0, chunks("0/a"));
  files.areUsable = false;
  expect(await readable(store, "0/a")).toEqual([]);
  expect((await store.write(0, chunks("0/b"))).written).toEqual(["0/b"]);
  expect([await placeIn("0/b"), await readable(store, "0/b")]).toEqual([undefined, ["0/b"]]);
  files.areUsable = true;
  expect(await readable(store, "0/a", "0/b")).toEqual(["0/a", "0/b"]);
  await checkIntegrity(store);
});

test("a file that was cut off, or deleted: what is not whole is corrupt, and is deleted", async () => {
  const store = await openWithFile();
  await store.write(0, chunks("0/a", "0/b"));
  (await files.open(FILE)).trim(100);
  const { chunks: read, fault } = await store.read(chunks("0/a", "0/b"));
  expect([read.map((bytes) => bytes !== null), fault?.code]).toEqual([[false, true], "corrupt"]);
  await checkIntegrity(store);
});

test("a clear leaves no bytes, whoever has the file open", async () => {
  const [mine, theirs, without] = [await openWithFile(), await openWithFile(), await openWithoutFile()];
  await mine.write(0, chunks("0/a", "0/b"));
  await theirs.clear();
  expect(size()).toBe(0);
  await mine.write(1, chunks("0/c"));
  expect([await readable(theirs, "0/c"), size()]).toEqual([["0/c"], CHUNK_BYTES]);
  await without.clear();
  // Their next open, or what they do when they hear of it.
  await openIndex(mine);
  expect(size()).toBe(0);
  await checkIntegrity(mine);
});

test("at the next open the file ends behind the last record, whatever a dead tab wrote there", async () => {
  const store = await openWithFile();
  await store.write(0, [chunk("0/a")]);
  await store.write(0, chunks("0/b", "0/c"));
  await store.delete(["0/b"]);
  (await files.open(FILE)).write([[1000, 1064]], new ArrayBuffer(64));
  await store.delete(["0/c"]);
  expect(size()).toBe(1064);
  const later = await openWithFile();
  expect(size()).toBe(CHUNK_BYTES);
  expect(await readable(later, "0/a")).toEqual(["0/a"]);
});
