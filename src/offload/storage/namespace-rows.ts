import { type BlockDatabase, type BlockSchema, inTransaction } from "./block-database";
import { type KeyScope, type RecordKey, rangeOf } from "./block-record";
import { spaceAround } from "./file-space";
import { deleteRecordFile, type RecordFile } from "./record-file";
import { placeOf, type RecordMeta } from "./record-metas";
import { isQuotaExceeded } from "./storage-fault";

/** What the store `meta` holds of a namespace. */
export interface NamespaceRows {
  readonly clearEpoch: number;
  readonly metas: readonly (readonly [RecordKey, RecordMeta])[];
  /** By the keys of their rows. */
  readonly bytesWrittenByDay: ReadonlyMap<string, number>;
}

export async function readNamespace(db: BlockDatabase, scope: KeyScope): Promise<NamespaceRows> {
  const meta = db.transaction("meta").store;
  const records = rangeOf(scope.namespacePrefix);
  const days = rangeOf(scope.dayPrefix);
  const [epoch, recordKeys, rows, dayKeys, bytesWritten] = await Promise.all([
    meta.get(scope.epochKey),
    meta.getAllKeys(records),
    meta.getAll(records),
    meta.getAllKeys(days),
    meta.getAll(days),
  ]);
  return {
    clearEpoch: numberOf(epoch),
    metas: recordKeys.map((key, i) => [key, rows[i] as RecordMeta] as const),
    bytesWrittenByDay: new Map(dayKeys.map((key, i) => [key, numberOf(bytesWritten[i])])),
  };
}

/** The rows of records, undefined where there is none, and the bytes written on a day. */
export async function readRows(
  db: BlockDatabase,
  keys: readonly RecordKey[],
  dayKey: string,
): Promise<{ readonly rows: readonly (RecordMeta | undefined)[]; readonly bytesWritten: number }> {
  const meta = db.transaction("meta").store;
  const [dayRow, ...rows] = await Promise.all([dayKey, ...keys].map((key) => meta.get(key)));
  return { rows: rows as (RecordMeta | undefined)[], bytesWritten: numberOf(dayRow) };
}

/** Deletes all records of the namespace, and then their bytes in the file. Returns the epoch that begins. */
export async function clearNamespace(db: BlockDatabase, file: RecordFile | null, scope: KeyScope): Promise<number> {
  const { namespacePrefix, epochKey, spaceKey, fileName } = scope;
  const epoch = await inTransaction(db, ["blocks", "meta"], async (tx, requests) => {
    const meta = tx.objectStore("meta");
    const epoch = numberOf(await meta.get(epochKey)) + 1;
    const records = rangeOf(namespacePrefix);
    requests.push(tx.objectStore("blocks").delete(records), meta.delete(records), meta.delete(spaceKey));
    requests.push(meta.put(epoch, epochKey));
    return epoch;
  });
  await (file ? tidyFile(db, file, scope) : deleteRecordFile(fileName));
  return epoch;
}

/**
 * What of the file is no record's is free, and nothing lies behind the last of them: the row of its space may have been lost, or rows
 * of records. Where there is no room to say so, it stays as it is.
 */
export async function tidyFile(
  db: BlockDatabase,
  file: RecordFile,
  { namespacePrefix, spaceKey }: KeyScope,
): Promise<void> {
  const tidying = inTransaction(db, ["meta"], async (tx, requests) => {
    const meta = tx.objectStore("meta");
    const rows = await meta.getAll(rangeOf(namespacePrefix));
    const space = spaceAround(rows.flatMap(placeOf));
    requests.push(meta.put(space, spaceKey));
    file.trim(space.end);
  });
  await tidying.catch((error) => {
    if (!isQuotaExceeded(error)) throw error;
  });
}

/** Writes rows again whose last use has changed; what another tab has deleted meanwhile stays so. */
export async function writeUses(
  db: BlockDatabase,
  touched: readonly (readonly [RecordKey, RecordMeta])[],
): Promise<void> {
  await inTransaction(db, ["meta"], async (tx, requests) => {
    const meta = tx.objectStore("meta");
    const rows = await Promise.all(touched.map(([key]) => meta.get(key)));
    touched.forEach(([key, { lastUsedMs }], i) => {
      if (rows[i] !== undefined) requests.push(meta.put({ ...(rows[i] as RecordMeta), lastUsedMs }, key));
    });
  });
}

/** A row that counts; 0 where there is none. */
export function numberOf(row: BlockSchema["meta"]["value"] | undefined): number {
  return typeof row === "number" ? row : 0;
}
