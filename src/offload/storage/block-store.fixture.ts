import "fake-indexeddb/auto";
import { createHash } from "node:crypto";
import { IDBFactory } from "fake-indexeddb";
import { expect } from "vitest";
import { inDatabase, promised } from "../../testing/block-rows";
import { BlockStore, type BlockStoreOptions } from "./block-store";
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
};

export interface Clock {
  nowMs: number;
}

/** An IndexedDB in which nothing is stored. */
export function resetIndexedDb(): void {
  globalThis.indexedDB = new IDBFactory();
}

/** Other tabs are not heard, unless the options say so. */
export function makeStore(clock: Clock = { nowMs: NOON_MS }, options: BlockStoreOptions = {}): BlockStore {
  const alone = { locks: null, openChannel: null, estimate: () => Promise.resolve(null) };
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

/** All rows of a store of the database, by key. */
export async function rowsOf(name: "blocks" | "meta"): Promise<Record<string, unknown>> {
  const [keys, rows] = await inDatabase((tx) => {
    const store = tx.objectStore(name);
    return Promise.all([promised(store.getAllKeys()), promised(store.getAll())]);
  });
  return Object.fromEntries(keys.map((key, i) => [key, rows[i]]));
}

/** Changes a row as a fault would. */
export async function changeRow<T>(name: "blocks" | "meta", key: string, change: (row: T) => unknown): Promise<void> {
  await inDatabase(async (tx) => {
    const row = await promised<T>(tx.objectStore(name).get(key));
    await promised(tx.objectStore(name).put(change(row), key));
  });
}

/** Every record has a meta that tells its size, every meta its record; together they are the bytes that the store tells. */
export async function checkIntegrity(store: StorageApi, namespace = "app"): Promise<void> {
  const prefix = `${namespaceHash(namespace)}/`;
  const [blocks, metas] = [await rowsOf("blocks"), await rowsOf("meta")];
  const sizes = (rows: Record<string, unknown>, sizeOf: (row: unknown) => number) =>
    Object.fromEntries(
      Object.entries(rows).flatMap(([key, row]) => (key.startsWith(prefix) ? [[key, sizeOf(row)]] : [])),
    );
  const stored = sizes(blocks, (row) => (row as { bytes: ArrayBuffer }).bytes.byteLength);
  expect(sizes(metas, (row) => (row as { bytes: number }).bytes)).toEqual(stored);
  const { usage } = await store.write(Number.NaN, []);
  expect(usage.bytes).toBe(Object.values(stored).reduce((sum, bytes) => sum + bytes, 0));
}
