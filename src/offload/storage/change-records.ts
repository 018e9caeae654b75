import type { WriteTransaction } from "./block-database";
import type { BlockRecord, KeyScope, RecordKey } from "./block-record";
import { FileSpace, type Place } from "./file-space";
import type { RecordFile } from "./record-file";
import { placeOf, type RecordMeta } from "./record-metas";

export interface RecordChanges {
  readonly deletes: readonly RecordKey[];
  readonly puts: readonly (readonly [BlockRecord, RecordMeta])[];
  /** Rows that the puts replace, as the transaction found them; undefined where there is none. */
  readonly replaced: readonly unknown[];
}

/**
 * Deletes and puts records with their metas. Their bytes lie in the file, where there is one that takes them, else in the record: in
 * the file they are written here, before anything can be committed that names them, and where no record's bytes are.
 * Returns the requests, which the transaction is left to end. Throws QuotaExceededError where the file may not grow.
 */
export async function changeRecords(
  tx: WriteTransaction,
  file: RecordFile | null,
  { spaceKey }: KeyScope,
  { deletes, puts, replaced }: RecordChanges,
): Promise<Promise<unknown>[]> {
  const [blocks, meta] = [tx.objectStore("blocks"), tx.objectStore("meta")];
  const [spaceRow, ...deleted] = await Promise.all([spaceKey, ...deletes].map((key) => meta.get(key)));
  const space = new FileSpace(spaceRow);
  const { end } = space;
  for (const row of [...deleted, ...replaced]) space.give(placeOf(row));
  const requests: Promise<unknown>[] = deletes.flatMap((key) => [blocks.delete(key), meta.delete(key)]);
  const places = puts.map(([{ bytes }]) => file && writeBytes(file, space, end, bytes));
  puts.forEach(([record, row], i) => {
    const place = places[i];
    requests.push(
      blocks.put(place ? { ...record, bytes: null } : record, record.key),
      meta.put(place ? { ...row, place } : row, record.key),
    );
  });
  if (space.isChanged) requests.push(meta.put(space.toRow(), spaceKey));
  return requests;
}

/** Where there is no room for it, the file is left as the database knows it: to end at `end`. */
function writeBytes(file: RecordFile, space: FileSpace, end: number, bytes: ArrayBuffer): Place | null {
  const place = space.take(bytes.byteLength);
  try {
    if (file.write(place, bytes)) return place;
  } catch (error) {
    file.trim(end);
    throw error;
  }
  space.give(place);
  return null;
}
