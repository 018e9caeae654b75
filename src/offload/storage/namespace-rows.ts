import { type BlockDatabase, inTransaction } from "./block-database";
import { type KeyScope, type RecordKey, rangeOf } from "./block-record";
import type { RecordMeta } from "./record-metas";

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

/** Deletes all records of the namespace. Returns the epoch that begins. */
export function clearNamespace(db: BlockDatabase, { namespacePrefix, epochKey }: KeyScope): Promise<number> {
  return inTransaction(db, ["blocks", "meta"], async (tx, requests) => {
    const meta = tx.objectStore("meta");
    const epoch = numberOf(await meta.get(epochKey)) + 1;
    const records = rangeOf(namespacePrefix);
    requests.push(tx.objectStore("blocks").delete(records), meta.delete(records), meta.put(epoch, epochKey));
    return epoch;
  });
}

/** Writes rows again whose last use has changed; what another tab has deleted meanwhile stays so. */
export async function writeUses(
  db: BlockDatabase,
  touched: readonly (readonly [RecordKey, RecordMeta])[],
): Promise<void> {
  await inTransaction(db, ["meta"], async (tx, requests) => {
    const meta = tx.objectStore("meta");
    const keys = await Promise.all(touched.map(([key]) => meta.getKey(key)));
    touched.forEach(([key, row], i) => {
      if (keys[i] !== undefined) requests.push(meta.put(row, key));
    });
  });
}

/** A row that counts; 0 where there is none. */
export function numberOf(row: RecordMeta | number | undefined): number {
  return typeof row === "number" ? row : 0;
}
