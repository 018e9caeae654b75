import { type BlockDatabase, inTransaction } from "./block-database";
import type { BlockRecord, KeyScope, RecordKey } from "./block-record";
import { changeRecords } from "./change-records";
import { numberOf } from "./namespace-rows";
import type { RecordFile } from "./record-file";
import type { RecordMeta, RecordMetas } from "./record-metas";

export interface RecordsToWrite {
  readonly records: readonly BlockRecord[];
  /** In which the write was planned. */
  readonly epoch: number;
  readonly scope: KeyScope;
  readonly dayKey: string;
}

/** What a write does, decided in its transaction, from the rows that it found there. */
export interface WritePlan {
  readonly puts: readonly (readonly [BlockRecord, RecordMeta])[];
  /** Those that are there already. */
  readonly present: readonly (readonly [RecordKey, RecordMeta])[];
  readonly victims: readonly RecordKey[];
  /** Put or present, in the order of the call. */
  readonly written: readonly RecordKey[];
  /** Of the puts. */
  readonly numBytes: number;
}

export interface WriteLimits {
  readonly maxBytes: number;
  /** By so much the cap may be passed: somebody else will make room. */
  readonly slackBytes: number;
  readonly ownPrefix: string;
}

/**
 * Puts the longest leading part of the records that fits under the cap when all that the call does not name has gone.
 * `rows`: those found of the records, undefined where there is none.
 */
export function planWrite(
  metas: RecordMetas,
  records: readonly BlockRecord[],
  rows: readonly (RecordMeta | undefined)[],
  { maxBytes, slackBytes, ownPrefix }: WriteLimits,
): WritePlan {
  const named = new Set(records.map(({ key }) => key));
  const present = records.flatMap(({ key }, i) => (rows[i] ? [[key, rows[i]] as const] : []));
  const presentKeys = new Set(present.map(([key]) => key));
  const presentBytes = sum([...new Map(present).values()]);
  const toPut = new Map<RecordKey, BlockRecord>();
  let numBytes = 0;
  for (const record of records) {
    if (presentKeys.has(record.key) || toPut.has(record.key)) continue;
    if (presentBytes + numBytes + record.bytes.byteLength > maxBytes) break;
    toPut.set(record.key, record);
    numBytes += record.bytes.byteLength;
  }
  const otherBytes = metas.bytes - sum([...named].flatMap((key) => metas.get(key) ?? []));
  return {
    puts: [...toPut.values()].toReversed().map((record) => [record, newMeta(record, metas.stamp())] as const),
    present,
    victims: metas.victims(otherBytes + presentBytes + numBytes - maxBytes - slackBytes, ownPrefix, named),
    written: records.flatMap(({ key }) => (presentKeys.has(key) || toPut.has(key) ? [key] : [])),
    numBytes,
  };
}

/**
 * One transaction: `plan` decides by the rows of the records that it finds, unless the epoch it finds is not that of the write.
 * Returns that epoch, the plan that was carried out, and the bytes that were written on its day.
 */
export function writeRecords(
  db: BlockDatabase,
  file: RecordFile | null,
  { records, epoch, scope, dayKey }: RecordsToWrite,
  plan: (rows: readonly (RecordMeta | undefined)[]) => WritePlan,
): Promise<{ readonly epoch: number; readonly plan: WritePlan | null; readonly bytesWritten: number }> {
  return inTransaction(db, ["blocks", "meta"], async (tx, requests) => {
    const meta = tx.objectStore("meta");
    const [epochRow, dayRow, ...rows] = await Promise.all(
      [scope.epochKey, dayKey, ...records.map(({ key }) => key)].map((key) => meta.get(key)),
    );
    const found = { epoch: numberOf(epochRow), plan: null, bytesWritten: numberOf(dayRow) };
    if (found.epoch !== epoch) return found;
    const decided = plan(rows as (RecordMeta | undefined)[]);
    const bytesWritten = found.bytesWritten + decided.numBytes;
    const { victims: deletes, puts } = decided;
    const replaced = puts.map(([put]) => rows[records.findIndex(({ key }) => key === put.key)]);
    requests.push(...(await changeRecords(tx, file, scope, { deletes, puts, replaced })));
    if (decided.numBytes > 0) requests.push(meta.put(bytesWritten, dayKey));
    return { ...found, plan: decided, bytesWritten };
  });
}

function newMeta({ bytes, parent }: BlockRecord, lastUsedMs: number): RecordMeta {
  return { bytes: bytes.byteLength, lastUsedMs, parent };
}

function sum(metas: readonly RecordMeta[]): number {
  return metas.reduce((total, { bytes }) => total + bytes, 0);
}
