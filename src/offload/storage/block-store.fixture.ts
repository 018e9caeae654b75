import "fake-indexeddb/auto";
import { createHash } from "node:crypto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect } from "vitest";
import { checkFile, inDatabase, promised } from "../../testing/block-rows";
import type { BlockRecord, StoredRecord } from "./block-record";
import { BlockStore, type BlockStoreOptions } from "./block-store";
import { FileSpace } from "./file-space";
import { FakeFiles } from "./record-file.fixture";
import { placeOf, type RecordMeta } from "./record-metas";
import type { ChunkToWrite, StorageApi, StorageIndex, StorageOptions } from "./storage-api";

export const CHUNK_BYTES = 64;
export const DAY_MS = 24 * 3600 * 1000;
export const TTL_MS = 7 * DAY_MS;
/** 2026-11-25T12:00:00Z. */
export const NOON_MS = 1_795_608_000_000;
export const FINGERPRINT = "f0".repeat(16);
export const OTHER_FINGERPRINT = "0f".repeat(16);

export const OPTIONS: StorageOptions = {
  namespace: "app",
  fingerprint: FINGERPRINT,
  chunkBytes: CHUNK_BYTES,
  maxBytes: 100 * CHUNK_BYTES,
  ttlMs: TTL_MS,
  backend: "auto",
};

export interface Clock {
  nowMs: number;
}

/** What stores may open; null: nothing. */
let files: FakeFiles | null = null;

/** Runs tests with records' bytes in the records, and with all of them in a file. `resetIndexedDb` comes before each. */
export function overBothBackends(tests: () => void): void {
  describe.each(["records", "a file"])("bytes in %s:", (backend) => {
    beforeEach(() => {
      if (backend === "a file") resetToFile();
      return forgetFiles;
    });
    tests();
  });
}

/** From now on stores have a file. */
export function resetToFile(): FakeFiles {
  files = new FakeFiles();
  resetIndexedDb();
  return files;
}

export function forgetFiles(): void {
  files = null;
}

/** An IndexedDB in which nothing is stored, and no files. */
export function resetIndexedDb(): void {
  globalThis.indexedDB = new IDBFactory();
  files?.clear();
}

/** Other tabs are not heard, unless the options say so. */
export function makeStore(clock: Clock = { nowMs: NOON_MS }, options: BlockStoreOptions = {}): BlockStore {
  const openFile = async (name: string) => files?.open(name) ?? null;
  const alone = { locks: null, openChannel: null, estimate: () => Promise.resolve(null), openFile };
  return new BlockStore({ now: () => clock.nowMs, ...alone, ...options });
}

/** A store that is open, and what its index was. */
export async function openStore(
  options: Partial<StorageOptions> = {},
  clock?: Clock,
): Promise<{ store: BlockStore; index: StorageIndex }> {
  const store = makeStore(clock);
  return { store, index: await openIndex(store, options) };
}

export async function openIndex(store: StorageApi, options: Partial<StorageOptions> = {}): Promise<StorageIndex> {
  const { index, fault } = await store.open({ ...OPTIONS, ...options });
  expect(fault).toBeNull();
  return index!;
}

/** A chunk with bytes and a header of its own, by its key. */
export function chunk(key: string, seed = key): ChunkToWrite {
  const digest = createHash("sha512").update(seed).digest();
  const header = { parent: digest[0] % 2 ? null : `parent of ${key}`, tokenIds: [...digest.subarray(0, 8)] };
  return { key, header, bytes: Uint8Array.from({ length: CHUNK_BYTES }, (_, i) => digest[i]).buffer };
}

export const chunks = (...keys: string[]) => keys.map((key) => chunk(key));

/** The bytes of a chunk, to be compared with what was read. */
export const bytesOf = (key: string) => new Uint8Array(chunk(key).bytes);

/** Which of the keys can be read; each of them with its own bytes. */
export async function readable(store: StorageApi, ...keys: string[]): Promise<string[]> {
  const read = await store.read(chunks(...keys));
  expect(read.fault).toBeNull();
  read.chunks.forEach((bytes, i) => {
    if (bytes) expect(new Uint8Array(bytes)).toEqual(bytesOf(keys[i]));
  });
  return keys.filter((_, i) => read.chunks[i]);
}

export function namespaceHash(namespace: string): string {
  return createHash("sha256").update(JSON.stringify(namespace)).digest("hex").slice(0, 32);
}

/** What `key` of the default scope is called in the database. */
export function rowKey(key: string, { namespace = "app", fingerprint = FINGERPRINT } = {}): string {
  return `${namespaceHash(namespace)}/${fingerprint}/${key}`;
}

/** All rows of a store of the database, by key. Of a file there is nothing to be seen: its bytes are in the records. */
export async function rowsOf(name: "blocks" | "meta"): Promise<Record<string, unknown>> {
  const { blocks, meta } = await rawRows();
  if (name === "blocks") {
    return Object.fromEntries(Object.entries(blocks).map(([key, record]) => [key, withBytes(key, record, meta[key])]));
  }
  const withoutPlace = (row: unknown) => {
    if (placeOf(row).length === 0) return row;
    const { place: _, ...rest } = row as RecordMeta;
    return rest;
  };
  const rows = Object.entries(meta).filter(([key]) => !key.startsWith("space/"));
  return Object.fromEntries(rows.map(([key, row]) => [key, withoutPlace(row)]));
}

/** As they are. */
export async function rawRows(): Promise<Record<"blocks" | "meta", Record<string, unknown>>> {
  return inDatabase(async (tx) => {
    const all = async (name: string) => {
      const store = tx.objectStore(name);
      const [keys, rows] = await Promise.all([promised(store.getAllKeys()), promised(store.getAll())]);
      return Object.fromEntries(keys.map((key, i) => [key, rows[i]]));
    };
    const [blocks, meta] = await Promise.all([all("blocks"), all("meta")]);
    return { blocks, meta };
  });
}

function withBytes(key: string, record: unknown, meta: unknown): unknown {
  const place = placeOf(meta);
  if (place.length === 0 || !files) return record;
  const bytes = files.bytesOf(key.split("/")[0]);
  return {
    ...(record as StoredRecord),
    bytes: Uint8Array.from(place.flatMap((run) => [...bytes.slice(...run)])).buffer,
  };
}

/** Changes a row as a fault would; of a record that has as many bytes as before, those in the file. */
export async function changeRow<T>(name: "blocks" | "meta", key: string, change: (row: T) => unknown): Promise<void> {
  const { blocks, meta } = await rawRows();
  const place = placeOf(meta[key]);
  const changed = change((name === "meta" ? meta[key] : withBytes(key, blocks[key], meta[key])) as T);
  if (name === "meta" || place.length === 0 || !files) return putRows([name, key, changed]);
  const { bytes } = changed as Partial<BlockRecord>;
  if (bytes instanceof ArrayBuffer && bytes.byteLength === CHUNK_BYTES) {
    const file = await files.open(key.split("/")[0]);
    file.write(place, bytes);
    file.close();
    return putRows(["blocks", key, { ...(changed as BlockRecord), bytes: null }]);
  }
  const spaceKey = `space/${key.split("/")[0]}`;
  const space = new FileSpace(meta[spaceKey]);
  space.give(place);
  const row = { ...(meta[key] as RecordMeta), place: [] };
  return putRows(["blocks", key, changed], ["meta", key, row], ["meta", spaceKey, space.toRow()]);
}

async function putRows(...rows: (readonly [name: "blocks" | "meta", key: string, row: unknown])[]): Promise<void> {
  await inDatabase(async (tx) => {
    await Promise.all(rows.map(([name, key, row]) => promised(tx.objectStore(name).put(row, key))));
  });
}

/**
 * Every record has a meta that tells its size, every meta its record; together they are the bytes that the store tells. What of the
 * file is no record's is free.
 */
export async function checkIntegrity(store: StorageApi, namespace = "app"): Promise<void> {
  const prefix = `${namespaceHash(namespace)}/`;
  const [blocks, metas] = [await rowsOf("blocks"), await rowsOf("meta")];
  const sizes = (rows: Record<string, unknown>, sizeOf: (row: unknown) => number) =>
    Object.fromEntries(
      Object.entries(rows).flatMap(([key, row]) => (key.startsWith(prefix) ? [[key, sizeOf(row)]] : [])),
    );
  const stored = sizes(blocks, (row) => (row as { bytes: ArrayBuffer }).bytes.byteLength);
  expect(sizes(metas, (row) => (row as { bytes: number }).bytes)).toEqual(stored);
  expect((await checkFile(namespace)).problems).toEqual([]);
  const { usage } = await store.write(Number.NaN, []);
  expect(usage.bytes).toBe(Object.values(stored).reduce((sum, bytes) => sum + bytes, 0));
}
