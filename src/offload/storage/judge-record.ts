import type { StoredChunk } from "./block-database";
import { decodeRecord, type RecordKey } from "./block-record";
import type { Checksums } from "./checksum";
import type { NamespaceView } from "./namespace-view";
import { placeOf } from "./record-metas";
import type { ChunkHeader, StorageOptions } from "./storage-api";

/** A chunk's bytes, or why there are none. "gone": past its time, or only half of it is there. */
export type Judged = ReturnType<typeof decodeRecord> | "absent" | "gone";

/** What was found of a record that was asked for by key and header. Memory follows. */
export function judgeRecord(
  { record, meta }: StoredChunk,
  asked: { readonly key: RecordKey; readonly header: ChunkHeader },
  view: NamespaceView,
  { options, checksums }: { readonly options: StorageOptions; readonly checksums: Checksums },
): Judged {
  if (record === "lost") return "corrupt";
  if (!record && !meta) {
    view.metas.delete(asked.key);
    return "absent";
  }
  if (!record || !meta) return "gone";
  const known = view.metas.get(asked.key);
  // Uses that are not written down yet count, and so do those of other tabs.
  const lastUsedMs = Math.max(meta.lastUsedMs, known?.lastUsedMs ?? 0);
  if (view.isPast({ ...meta, lastUsedMs }, options.ttlMs)) return "gone";
  if (!known) view.metas.set(asked.key, meta);
  // In a file that this thread cannot have, or not read.
  if (!record.bytes && placeOf(meta).length > 0) return "unverifiable";
  return decodeRecord(record, { ...asked, chunkBytes: options.chunkBytes }, checksums);
}
