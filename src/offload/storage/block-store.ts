import type { KvKey } from "../../kv/chunk";
import { assert } from "../../util/errors";
import { BlockConnection } from "./block-connection";
import { type BlockDatabase, deleteRecords, readRecords, type StoredChunk } from "./block-database";
import { type BlockRecord, decodeRecord, encodeRecord, type KeyScope, keyScope, type RecordKey } from "./block-record";
import { planWrite, writeRecords } from "./block-write";
import { type Checksums, createChecksums } from "./checksum";
import { clearNamespace, readNamespace, writeUses } from "./namespace-rows";
import { isMeta, isPastItsTime, type RecordMeta, RecordMetas } from "./record-metas";
import type {
  ChunkHeader,
  ChunkToWrite,
  ReadResult,
  StorageApi,
  StorageFault,
  StorageOptions,
  StorageUsage,
  WriteResult,
} from "./storage-api";
import { isQuotaExceeded, toFault } from "./storage-fault";
import { defaultMaxBytes, estimateRoom, type RoomEstimate } from "./storage-room";

const TOUCH_DELAY_MS = 3000;
/** Records that are deleted in one transaction, where nobody waits for it. */
const SWEPT_AT_ONCE = 64;
/** What is kept of our own records when the browser gives no more room. */
const KEPT_AT_QUOTA = 0.8;

export interface BlockStoreOptions {
  readonly now?: () => number;
  readonly estimate?: () => Promise<RoomEstimate | null>;
  /** Uses of chunks are written down together after so long. */
  readonly touchDelayMs?: number;
}

type Opening = Awaited<ReturnType<StorageApi["open"]>>;
type Clearing = Awaited<ReturnType<StorageApi["clear"]>>;

/** A chunk's bytes, or why there are none. "gone": past its time, or only half of it is there. */
type Judged = ReturnType<typeof decodeRecord> | "absent" | "gone";

/** What `open` was told, and what follows from it. */
interface Opened {
  readonly options: StorageOptions;
  readonly scope: KeyScope;
  readonly checksums: Checksums;
}

/**
 * Chunks in IndexedDB. Database `cairn-kv`, version 1, two stores with keys of their own:
 * - `blocks`: `namespace/fingerprint/group/hash` (the namespace hashed) -> BlockRecord: header, checksum, bytes.
 * - `meta`: the same key -> RecordMeta: bytes, last use, parent. A record and its meta come and go in one transaction.
 *   `epoch/namespace` -> the clear epoch, 0 where there is none. `day/namespace/2026-11-25` -> bytes written on that day (UTC).
 *
 * The metas are kept in memory. Other tabs write to the same stores: whether a record is there is decided by its row in the
 * transaction, and memory follows.
 */
export class BlockStore implements StorageApi {
  readonly #now: () => number;
  readonly #estimate: () => Promise<RoomEstimate | null>;
  readonly #touchDelayMs: number;
  readonly #metas: RecordMetas;
  readonly #connection = new BlockConnection((db) => this.#load(db));
  /** Records that could not be verified, or not be deleted: they are written anew. */
  readonly #distrusted = new Set<RecordKey>();
  #opened: Opened | null = null;
  #maxBytes = 0;
  #clearEpoch = 0;
  #today = { dayKey: "", bytesWritten: 0 };
  #lastCall: Promise<unknown> = Promise.resolve();
  #touchTimer: ReturnType<typeof setTimeout> | null = null;

  constructor({ now = Date.now, estimate = estimateRoom, touchDelayMs = TOUCH_DELAY_MS }: BlockStoreOptions = {}) {
    this.#now = now;
    this.#estimate = estimate;
    this.#touchDelayMs = touchDelayMs;
    this.#metas = new RecordMetas(now);
  }

  open(options: StorageOptions): Promise<Opening> {
    return this.#inTurn<Opening>(
      async () => {
        this.#opened = {
          options,
          scope: keyScope(options.namespace, options.fingerprint),
          checksums: this.#opened?.checksums ?? (await createChecksums()),
        };
        this.#connection.reload();
        await this.#connection.use(async () => {});
        this.#maxBytes = options.maxBytes ?? (await defaultMaxBytes(this.#estimate, this.#metas.bytes));
        const victims = this.#victims(this.#metas.bytes - this.#maxBytes);
        for (const key of victims) this.#metas.delete(key);
        this.#sweep(victims);
        const keys = this.#ownKeys(this.#metas.keysUnder(this.#scoped.scope.fingerprintPrefix));
        return { index: { keys, clearEpoch: this.#clearEpoch, usage: this.#usage() }, fault: null };
      },
      (fault) => ({ index: null, fault }),
    );
  }

  write(clearEpoch: number, chunks: readonly ChunkToWrite[]): Promise<WriteResult> {
    const buffers = chunks.map(({ bytes }) => bytes);
    const evicted: RecordKey[] = [];
    const result = (written: readonly KvKey[], fault: StorageFault | null) => {
      return { written, evicted: this.#ownKeys(evicted), buffers, usage: this.#usage(), fault };
    };
    return this.#inTurn(
      async () => {
        const written = await this.#write(clearEpoch, chunks, evicted);
        if (written === null) return result([], null);
        const isAll = written.length === chunks.length;
        return result(written, isAll ? null : { code: "quota", message: "The byte cap has no room for more." });
      },
      (fault) => result([], fault),
    );
  }

  read(chunks: readonly { readonly key: KvKey; readonly header: ChunkHeader }[]): Promise<ReadResult> {
    return this.#inTurn<ReadResult>(
      async () => {
        const { scope } = this.#scoped;
        const keys = chunks.map(({ key }) => scope.fingerprintPrefix + key);
        const stored = await this.#connection.use((db) => readRecords(db, keys));
        const judged = chunks.map(({ header }, i) => this.#judge(keys[i], header, stored[i]));
        const keysOf = (verdict: Judged) => keys.filter((_, i) => judged[i] === verdict);
        this.#touch(keys.filter((_, i) => judged[i] instanceof ArrayBuffer));
        for (const key of keysOf("unverifiable")) this.#distrusted.add(key);
        await this.#forget([...keysOf("gone"), ...keysOf("corrupt")]);
        const numCorrupt = keysOf("corrupt").length;
        const message = `${numCorrupt} of ${chunks.length} records were not what was written.`;
        return {
          chunks: judged.map((bytes) => (bytes instanceof ArrayBuffer ? bytes : null)),
          fault: numCorrupt > 0 ? { code: "corrupt", message } : null,
        };
      },
      (fault) => ({ chunks: chunks.map(() => null), fault }),
    );
  }

  touch(keys: readonly KvKey[]): Promise<void> {
    return this.#inTurn(
      async () => {
        this.#touch(keys.map((key) => this.#scoped.scope.fingerprintPrefix + key));
      },
      () => {},
    );
  }

  delete(keys: readonly KvKey[]): Promise<void> {
    return this.#inTurn(
      () => this.#forget(keys.map((key) => this.#scoped.scope.fingerprintPrefix + key)),
      () => {},
    );
  }

  clear(): Promise<Clearing> {
    return this.#inTurn<Clearing>(
      async () => {
        this.#clearEpoch = await this.#connection.use((db) => clearNamespace(db, this.#scoped.scope));
        this.#metas.clear();
        this.#distrusted.clear();
        return { clearEpoch: this.#clearEpoch, usage: this.#usage(), fault: null };
      },
      (fault) => ({ clearEpoch: this.#clearEpoch, usage: null, fault }),
    );
  }

  flush(): Promise<void> {
    return this.#inTurn(
      () => this.#writeTouches(),
      () => {},
    );
  }

  /** Gives the connection up; calls that come after it fail. */
  close(): void {
    this.#stopTimer();
    this.#connection.close();
  }

  /** One call after the other, in the order in which they came. */
  #inTurn<T>(call: () => Promise<T>, onFault: (fault: StorageFault) => T): Promise<T> {
    const result = this.#lastCall.then(call).catch((error) => onFault(toFault(error)));
    this.#lastCall = result;
    return result;
  }

  get #scoped(): Opened {
    assert(this.#opened, "the store is used before it is opened");
    return this.#opened;
  }

  /** Takes in what the database has of the namespace; what is past its time is deleted soon. */
  async #load(db: BlockDatabase): Promise<void> {
    const { scope, options } = this.#scoped;
    const { clearEpoch, metas, bytesWrittenByDay } = await readNamespace(db, scope);
    const nowMs = this.#now();
    const isHere = (row: RecordMeta) => isMeta(row) && !isPastItsTime(row, nowMs, options.ttlMs);
    this.#metas.load(metas.filter(([, row]) => isHere(row)));
    this.#clearEpoch = clearEpoch;
    const dayKey = this.#dayKey();
    this.#today = { dayKey, bytesWritten: bytesWrittenByDay.get(dayKey) ?? 0 };
    const pastRecords = metas.flatMap(([key, row]) => (isHere(row) ? [] : [key]));
    const pastDays = [...bytesWrittenByDay.keys()].filter((key) => key < dayKey);
    this.#sweep([...pastRecords, ...pastDays]);
  }

  /** Written, in order; null where the namespace was cleared since the write was planned. What has to go for it joins `evicted`. */
  async #write(epoch: number, chunks: readonly ChunkToWrite[], evicted: RecordKey[]): Promise<KvKey[] | null> {
    const { scope, checksums } = this.#scoped;
    const records = chunks.map(({ key, header, bytes }) => {
      return encodeRecord(scope.fingerprintPrefix + key, header, bytes, checksums);
    });
    const put = () => this.#connection.use((db) => this.#put(db, epoch, records, evicted));
    try {
      return await put();
    } catch (error) {
      if (!isQuotaExceeded(error)) throw error;
    }
    const victims = this.#victims(this.#metas.bytes * (1 - KEPT_AT_QUOTA), new Set(records.map(({ key }) => key)));
    await this.#connection.use((db) => deleteRecords(db, victims));
    for (const key of victims) this.#metas.delete(key);
    evicted.push(...victims);
    return put();
  }

  async #put(
    db: BlockDatabase,
    epoch: number,
    records: readonly BlockRecord[],
    evicted: RecordKey[],
  ): Promise<KvKey[] | null> {
    const { epochKey, fingerprintPrefix: ownPrefix } = this.#scoped.scope;
    const dayKey = this.#dayKey();
    const found = await writeRecords(db, { records, epoch, epochKey, dayKey }, (rows) => {
      const believed = rows.map((row, i) => (this.#distrusted.has(records[i].key) ? undefined : row));
      return planWrite(this.#metas, records, believed, { maxBytes: this.#maxBytes, ownPrefix });
    });
    this.#today = { dayKey, bytesWritten: found.bytesWritten };
    if (found.epoch !== this.#clearEpoch) this.#connection.reload(); // Another tab cleared it.
    if (!found.plan) return null;
    const { victims, puts, present, written } = found.plan;
    for (const key of victims) this.#metas.delete(key);
    for (const [{ key }, row] of puts) this.#metas.set(key, row);
    for (const [{ key }] of puts) this.#distrusted.delete(key);
    for (const [key, row] of present) this.#metas.set(key, row);
    this.#touch(present.map(([key]) => key));
    evicted.push(...victims);
    return this.#ownKeys(written);
  }

  #victims(numBytes: number, kept: ReadonlySet<RecordKey> = new Set()): RecordKey[] {
    return this.#metas.victims(numBytes, this.#scoped.scope.fingerprintPrefix, kept);
  }

  #judge(key: RecordKey, header: ChunkHeader, { record, meta }: StoredChunk): Judged {
    const { options, checksums } = this.#scoped;
    if (record === "lost") return "corrupt";
    if (!record && !meta) {
      this.#metas.delete(key);
      return "absent";
    }
    if (!record || !meta) return "gone";
    const known = this.#metas.get(key);
    // Uses that are not written down yet count, and so do those of other tabs.
    const lastUsedMs = Math.max(meta.lastUsedMs, known?.lastUsedMs ?? 0);
    if (isPastItsTime({ ...meta, lastUsedMs }, this.#now(), options.ttlMs)) return "gone";
    if (!known) this.#metas.set(key, meta);
    return decodeRecord(record, { key, header, chunkBytes: options.chunkBytes }, checksums);
  }

  /** Deletes records (and rows). Where that fails they stay, and are not believed. */
  async #forget(keys: readonly RecordKey[]): Promise<void> {
    if (keys.length === 0) return;
    for (const key of keys) this.#metas.delete(key);
    try {
      if (this.#connection.db) return await deleteRecords(this.#connection.db, keys);
    } catch {
      // Nobody asked for it: the next call meets the same fault, and tells it.
    }
    for (const key of keys) this.#distrusted.add(key);
  }

  /** Deletes what is not in memory, some at a time and between other calls: it may be gigabytes. */
  #sweep(keys: readonly RecordKey[]): void {
    if (keys.length === 0) return;
    const isUnknown = (key: RecordKey) => !this.#metas.get(key); // It may have been written anew.
    const sweep = () => this.#forget(keys.slice(0, SWEPT_AT_ONCE).filter(isUnknown));
    void this.#inTurn(sweep, () => {}).then(() => this.#sweep(keys.slice(SWEPT_AT_ONCE)));
  }

  async #writeTouches(): Promise<void> {
    this.#stopTimer();
    if (this.#metas.touched.length === 0) return;
    await this.#connection.use((db) => writeUses(db, this.#metas.touched));
    this.#metas.clearTouched();
  }

  #touch(keys: readonly RecordKey[]): void {
    this.#metas.touch(keys);
    if (this.#touchTimer !== null || this.#metas.touched.length === 0 || this.#connection.isClosed) return;
    this.#touchTimer = setTimeout(() => void this.flush(), this.#touchDelayMs);
  }

  #stopTimer(): void {
    if (this.#touchTimer !== null) clearTimeout(this.#touchTimer);
    this.#touchTimer = null;
  }

  #ownKeys(keys: readonly RecordKey[]): KvKey[] {
    const prefix = this.#opened?.scope.fingerprintPrefix ?? "";
    return keys.flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
  }

  #usage(): StorageUsage {
    const bytesWrittenToday = this.#opened && this.#today.dayKey === this.#dayKey() ? this.#today.bytesWritten : 0;
    return { bytes: this.#metas.bytes, maxBytes: this.#maxBytes, bytesWrittenToday };
  }

  #dayKey(): string {
    return this.#scoped.scope.dayPrefix + new Date(this.#now()).toISOString().slice(0, 10);
  }
}
