import { DATABASE_NAME } from "../offload/storage/block-database";
import { type BlockRecord, keyScope, type RecordKey, rangeOf } from "../offload/storage/block-record";
import type { FileSpaceRow, Run } from "../offload/storage/file-space";
import { openRecordFile } from "../offload/storage/record-file";
import { placeOf, type RecordMeta } from "../offload/storage/record-metas";
import type { ChunkHeader, StorageApi, StorageOptions } from "../offload/storage/storage-api";

/** What a record says of itself, as plain data. */
export interface RowSummary {
  readonly key: RecordKey;
  readonly group: number;
  /** Of the chunk in its text, counted from 0. */
  readonly place: number;
  /** What made its checksum. */
  readonly checksumKind: string;
}

type Change = "flip" | "truncate";

/** A connection in the way of others. */
export interface Hold {
  release(): Promise<void>;
  /** Resolves when the browser has closed it. */
  readonly closed: Promise<unknown>;
}

export function promised<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function ended(tx: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve();
    tx.onabort = () => reject(tx.error);
  });
}

/** Runs a transaction on a connection of its own, past the store, to its end. */
export async function inDatabase<T>(run: (tx: IDBTransaction) => Promise<T>): Promise<T> {
  const db = await promised(indexedDB.open(DATABASE_NAME));
  try {
    const tx = db.transaction(["blocks", "meta"], "readwrite");
    const [result] = await Promise.all([run(tx), ended(tx)]);
    return result;
  } finally {
    db.close();
  }
}

/** The records of a namespace, those of a group in the order of the text, of which there is one. */
export async function listRows(namespace: string): Promise<RowSummary[]> {
  const range = rangeOf(keyScope(namespace, "").namespacePrefix);
  const records = await inDatabase((tx) => promised<BlockRecord[]>(tx.objectStore("blocks").getAll(range)));
  const hashOf = ({ key }: BlockRecord) => key.split("/")[3];
  const parents = new Map(records.map((record) => [hashOf(record), record.parent]));
  const placeOf = (hash: string): number => {
    const parent = parents.get(hash) ?? null;
    return parent === null ? 0 : placeOf(parent) + 1;
  };
  return records
    .map((record) => ({
      key: record.key,
      group: Number(record.key.split("/")[2]),
      place: placeOf(hashOf(record)),
      checksumKind: record.checksum.split(":")[0],
    }))
    .sort((a, b) => a.group - b.group || a.place - b.place);
}

/** What is read of all records of a namespace by a store. */
export interface StoreCheck {
  readonly numRecords: number;
  /** Their metas are those of the records, and no others. */
  readonly haveMetas: boolean;
  readonly numIndexed: number;
  /** Those whose bytes are what was written. */
  readonly numWhole: number;
}

/** Reads all that a store has of a scope, each chunk as a request would that has its tokens. */
export async function checkStore(store: StorageApi, options: StorageOptions): Promise<StoreCheck> {
  const { index } = await store.open(options);
  const { fingerprintPrefix } = keyScope(options.namespace, options.fingerprint);
  const { blocks, metas } = await listKeys(fingerprintPrefix);
  let numWhole = 0;
  for (const key of blocks) {
    const header: ChunkHeader = await inDatabase((tx) => promised(tx.objectStore("blocks").get(key)));
    const { chunks } = await store.read([{ key: key.slice(fingerprintPrefix.length), header }]);
    numWhole += chunks[0] ? 1 : 0;
  }
  const haveMetas = JSON.stringify(blocks) === JSON.stringify(metas);
  return { numRecords: blocks.length, haveMetas, numIndexed: index?.keys.length ?? 0, numWhole };
}

/** Keys of records and of their metas that begin with a prefix, in order. */
export function listKeys(prefix: string): Promise<Record<"blocks" | "metas", RecordKey[]>> {
  const range = rangeOf(prefix);
  return inDatabase(async (tx) => {
    const keys = (name: string) => promised(tx.objectStore(name).getAllKeys(range)) as Promise<RecordKey[]>;
    const [blocks, metas] = await Promise.all([keys("blocks"), keys("meta")]);
    return { blocks, metas };
  });
}

/** How many of a namespace's records have their bytes in its file, and what of the file belongs to none or two, or is no record's and not free. */
export async function checkFile(
  namespace: string,
): Promise<{ readonly numInFile: number; readonly problems: string[] }> {
  const { namespacePrefix, spaceKey } = keyScope(namespace, "");
  const [space, metas] = await inDatabase((tx) => {
    const meta = tx.objectStore("meta");
    return Promise.all([
      promised<FileSpaceRow | undefined>(meta.get(spaceKey)),
      promised(meta.getAll(rangeOf(namespacePrefix))),
    ]);
  });
  const { end, free } = space ?? { end: 0, free: [] };
  const places = metas.map(placeOf).filter((place) => place.length > 0);
  const runs: Run[] = [...free, ...places.flat()].sort((a, b) => a[0] - b[0]);
  const starts = [...runs.map((run) => run[0]), end];
  const ends = [0, ...runs.map((run) => run[1])];
  const problems = starts.flatMap((start, i) =>
    start === ends[i] ? [] : [`bytes ${ends[i]} to ${start} of the file`],
  );
  return { numInFile: places.length, problems };
}

/** Changes a record's bytes as a fault would, and nothing else about it. They lie in a file, which a dedicated worker can open. */
export async function damageRow(key: RecordKey, change: Change): Promise<void> {
  const file = await openRecordFile(key.split("/")[0]);
  await inDatabase(async (tx) => {
    const meta = tx.objectStore("meta");
    const row: RecordMeta = await promised(meta.get(key));
    const place = placeOf(row);
    const [start, end] = place[0];
    if (change === "truncate") {
      await promised(meta.put({ ...row, place: [[start, end - 4]] }, key));
      return;
    }
    const bytes = new Uint8Array(file?.read(place) ?? new ArrayBuffer(0));
    bytes[bytes.length >> 1] ^= 0x10;
    file?.write(place, bytes.buffer);
  });
  file?.close();
}

/** Each is found under the other's key. */
export async function swapRows(one: RecordKey, other: RecordKey): Promise<void> {
  await inDatabase(async (tx) => {
    const blocks = tx.objectStore("blocks");
    const [first, second] = await Promise.all([one, other].map((key) => promised(blocks.get(key))));
    await Promise.all([promised(blocks.put(first, other)), promised(blocks.put(second, one))]);
  });
}

export async function deleteDatabase(): Promise<void> {
  await promised(indexedDB.deleteDatabase(DATABASE_NAME));
}

/** Another tab with a newer version of the page. Its connection is closed at once. */
export async function openNewer(): Promise<void> {
  const { version } = await inDatabase(async ({ db }) => db);
  (await promised(indexedDB.open(DATABASE_NAME, version + 1))).close();
}

function closed(db: IDBDatabase): Promise<unknown> {
  return new Promise((resolve) => {
    db.onclose = resolve;
  });
}

/** From now on no other transaction on the database begins. */
export async function holdTransactions(): Promise<Hold> {
  const db = await promised(indexedDB.open(DATABASE_NAME));
  const tx = db.transaction(["blocks", "meta"], "readwrite");
  const hasEnded = ended(tx).catch(() => {});
  let isHeld = true;
  const goOn = () => {
    if (isHeld) tx.objectStore("meta").get("").onsuccess = goOn;
  };
  goOn();
  await promised(tx.objectStore("meta").get(""));
  return {
    async release() {
      isHeld = false;
      await hasEnded;
      db.close();
    },
    closed: closed(db),
  };
}

/** From now on no open of the database answers: an upgrade is before it, and a connection in the way of that. */
export async function holdOpens(): Promise<Hold> {
  const db = await promised(indexedDB.open(DATABASE_NAME));
  const upgrade = indexedDB.open(DATABASE_NAME, db.version + 1);
  await new Promise((resolve) => {
    upgrade.onblocked = resolve;
  });
  return {
    async release() {
      // The version stays what it was.
      upgrade.onupgradeneeded = () => upgrade.transaction?.abort();
      const hasEnded = promised(upgrade).catch(() => {});
      db.close();
      await hasEnded;
    },
    closed: closed(db),
  };
}
