import { type DBSchema, deleteDB, type IDBPDatabase, type IDBPTransaction, openDB } from "idb";
import type { KeyScope, RecordKey, StoredRecord } from "./block-record";
import { changeRecords } from "./change-records";
import type { FileSpaceRow } from "./file-space";
import type { RecordFile } from "./record-file";
import { placeOf, type RecordMeta } from "./record-metas";
import { isRecordLost, nameOf, StorageFailure, toOpenFailure } from "./storage-fault";

export const DATABASE_NAME = "cairn-kv";
/** Never raised: a record says its format, and an upgrade would have to wait for every other tab. */
const VERSION = 1;
const READS_IN_FLIGHT = 4;

export interface BlockSchema extends DBSchema {
  blocks: { key: string; value: StoredRecord };
  /** Of records; the space of a namespace's file; and numbers, which are the clear epoch of a namespace and the bytes written on a day. */
  meta: { key: string; value: RecordMeta | FileSpaceRow | number };
}
export type BlockDatabase = IDBPDatabase<BlockSchema>;
type StoreName = "blocks" | "meta";
export type WriteTransaction = IDBPTransaction<BlockSchema, StoreName[], "readwrite">;

/** Chromium says so of a database whose files it cannot read, and will say so for ever. */
const BEYOND_REPAIR = /backing store/;

/**
 * Opens the database, at the second attempt if need be; one that is beyond repair is deleted before it. `onGone`: the connection is
 * to be closed, because it is in another's way, or the browser has done so. Throws StorageFailure.
 */
export async function openBlockDatabase(onGone: (db: BlockDatabase) => void): Promise<BlockDatabase> {
  try {
    if (!globalThis.indexedDB) throw new StorageFailure("unavailable", "There is no IndexedDB here.");
    try {
      return await openOnce(onGone);
    } catch (error) {
      if (nameOf(error) !== "UnknownError") throw error;
      if (BEYOND_REPAIR.test(String(error))) await deleteDB(DATABASE_NAME);
    }
    return await openOnce(onGone);
  } catch (error) {
    throw toOpenFailure(error);
  }
}

async function openOnce(onGone: (db: BlockDatabase) => void): Promise<BlockDatabase> {
  const db = await openDB<BlockSchema>(DATABASE_NAME, VERSION, {
    upgrade(created) {
      created.createObjectStore("blocks");
      created.createObjectStore("meta");
    },
    blocking: () => onGone(db),
    terminated: () => onGone(db),
  });
  if (db.objectStoreNames.contains("blocks") && db.objectStoreNames.contains("meta")) return db;
  db.close();
  throw new DOMException("The backing store is not ours.", "UnknownError");
}

/**
 * Runs a transaction to its end: durable, or as if it had never been. `run` awaits nothing but requests of the transaction, and
 * leaves its puts and deletes to it by `requests`.
 */
export async function inTransaction<T>(
  db: BlockDatabase,
  storeNames: StoreName[],
  run: (tx: WriteTransaction, requests: Promise<unknown>[]) => Promise<T>,
): Promise<T> {
  const tx = db.transaction(storeNames, "readwrite", { durability: "relaxed" });
  const requests: Promise<unknown>[] = [];
  try {
    const result = await run(tx, requests);
    tx.commit();
    await Promise.all([...requests, tx.done]);
    return result;
  } catch (error) {
    throw await reasonOf(tx, requests, error);
  }
}

/**
 * Ends a transaction that failed. Its requests may only say that it was aborted; then it says itself why. In Chromium some of them
 * say nothing at all where there was no room for the commit.
 */
async function reasonOf(tx: WriteTransaction, requests: Promise<unknown>[], error: unknown): Promise<unknown> {
  const reasons = [error];
  const ends = [...requests, tx.done].map((end) => end.catch((reason) => reasons.push(reason)));
  try {
    tx.abort();
  } catch {
    // It has ended by itself.
  }
  await ends.at(-1);
  return [tx.error, ...reasons].find((reason) => reason && nameOf(reason) !== "AbortError") ?? error;
}

export async function deleteRecords(db: BlockDatabase, scope: KeyScope, deletes: readonly RecordKey[]): Promise<void> {
  await inTransaction(db, ["blocks", "meta"], async (tx, requests) => {
    requests.push(...(await changeRecords(tx, null, scope, { deletes, puts: [], replaced: [] })));
  });
}

/** A record, with bytes of the file in it, and its meta; "lost": the browser has the record, but its bytes no more. */
export interface StoredChunk {
  readonly record: StoredRecord | "lost" | undefined;
  readonly meta: RecordMeta | undefined;
}

/** In the order of the keys. One record that is lost costs a transaction for each. */
export async function readRecords(
  db: BlockDatabase,
  file: RecordFile | null,
  keys: readonly RecordKey[],
): Promise<StoredChunk[]> {
  try {
    return await readTogether(db, file, keys);
  } catch (error) {
    if (!isRecordLost(error)) throw error;
  }
  const chunks: StoredChunk[] = [];
  for (const key of keys) chunks.push(await readAlone(db, file, key));
  return chunks;
}

async function readTogether(
  db: BlockDatabase,
  file: RecordFile | null,
  keys: readonly RecordKey[],
): Promise<StoredChunk[]> {
  const tx = db.transaction(["blocks", "meta"], "readonly");
  const chunks: StoredChunk[] = [];
  try {
    for (let start = 0; start < keys.length; start += READS_IN_FLIGHT) {
      const reads = keys.slice(start, start + READS_IN_FLIGHT).map(async (key) => {
        const requests = [tx.objectStore("blocks").get(key), tx.objectStore("meta").get(key)] as const;
        const [record, row] = await Promise.all(requests);
        const place = placeOf(row);
        // While the transaction is under way nobody else writes there.
        const bytes = file && place.length > 0 ? file.read(place) : record?.bytes;
        return { record: record && { ...record, bytes: bytes ?? null }, meta: row as RecordMeta | undefined };
      });
      chunks.push(...(await Promise.all(reads)));
    }
    await tx.done;
    return chunks;
  } catch (error) {
    await tx.done.catch(() => {});
    throw error;
  }
}

async function readAlone(db: BlockDatabase, file: RecordFile | null, key: RecordKey): Promise<StoredChunk> {
  try {
    return (await readTogether(db, file, [key]))[0];
  } catch (error) {
    if (!isRecordLost(error)) throw error;
    return { record: "lost", meta: undefined };
  }
}
