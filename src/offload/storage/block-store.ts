import type { KvKey } from "../../kv/chunk";
import { assert } from "../../util/errors";
import { BlockConnection } from "./block-connection";
import { type BlockDatabase, DATABASE_NAME, deleteRecords, readRecords } from "./block-database";
import { type BlockRecord, encodeRecord, type KeyScope, keyScope, type RecordKey } from "./block-record";
import { planWrite, writeRecords } from "./block-write";
import { type Checksums, createChecksums } from "./checksum";
import { type Judged, judgeRecord } from "./judge-record";
import { clearNamespace, tidyFile, writeUses } from "./namespace-rows";
import { NamespaceView } from "./namespace-view";
import { openRecordFile, type RecordFile } from "./record-file";
import type { RecordMetas } from "./record-metas";
import type {
  ChunkHeader,
  ChunkToWrite,
  ReadResult,
  StorageApi,
  StorageChange,
  StorageFault,
  StorageIndex,
  StorageOptions,
  StorageUsage,
  WriteResult,
} from "./storage-api";
import { isQuotaExceeded, toFault } from "./storage-fault";
import { StorageNews } from "./storage-news";
import { defaultMaxBytes, estimateRoom, followerSlackBytes, type RoomEstimate } from "./storage-room";
import { Tabs, type TabsOptions } from "./tabs";

const TOUCH_DELAY_MS = 3000;
/** Records that are deleted in one transaction, where nobody waits for it. */
const SWEPT_AT_ONCE = 64;
/** What is kept of our own records when the browser gives no more room. */
const KEPT_AT_QUOTA = 0.8;

export interface BlockStoreOptions extends TabsOptions {
  readonly now?: () => number;
  readonly estimate?: () => Promise<RoomEstimate | null>;
  /** Uses of chunks are written down together after so long. */
  readonly touchDelayMs?: number;
  /** By its name; null where there is none. */
  readonly openFile?: (name: string) => Promise<RecordFile | null>;
}

type Opening = Awaited<ReturnType<StorageApi["open"]>>;
type Clearing = Awaited<ReturnType<StorageApi["clear"]>>;

/** What `open` was told, and what follows from it. */
interface Opened {
  readonly options: StorageOptions;
  readonly scope: KeyScope;
  readonly checksums: Checksums;
}

/**
 * Chunks in IndexedDB. Database `cairn-kv`, version 1, two stores with keys of their own:
 * - `blocks`: `namespace/fingerprint/group/hash` (the namespace hashed) -> StoredRecord: header, checksum, bytes unless a file has them.
 * - `meta`: the same key -> RecordMeta: bytes, last use, parent, place. A record and its meta come and go in one transaction.
 *   `epoch/namespace` -> the clear epoch, 0 where there is none. `day/namespace/2026-11-25` -> bytes written on that day (UTC).
 *   `space/namespace` -> FileSpaceRow: what is free in the file `cairn-kv/namespace` of the origin's private file system.
 *
 * The metas are kept in memory. Other tabs write to the same stores: whether a record is there is decided by its row in the
 * transaction, and memory follows. A tab tells the others the keys of rows that it has changed, and they look: in whatever order
 * that is heard, memory ends as the rows are. One tab leads, and deletes what is past its time or over the cap.
 */
export class BlockStore implements StorageApi {
  readonly #estimate: () => Promise<RoomEstimate | null>;
  readonly #touchDelayMs: number;
  readonly #view: NamespaceView;
  readonly #connection: BlockConnection;
  /** Records that could not be verified, or not be deleted: they are written anew. */
  readonly #distrusted = new Set<RecordKey>();
  readonly #tabs: Tabs;
  readonly #news = new StorageNews();
  #opened: Opened | null = null;
  /** The metas were loaded anew, and nobody was told. */
  #isIndexNew = false;
  #maxBytes = Number.POSITIVE_INFINITY;
  #lastCall: Promise<unknown> = Promise.resolve();
  #touchTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: BlockStoreOptions = {}) {
    const {
      now = Date.now,
      estimate = estimateRoom,
      touchDelayMs = TOUCH_DELAY_MS,
      openFile = openRecordFile,
    } = options;
    this.#tabs = new Tabs(options);
    this.#connection = new BlockConnection(
      (db, file) => this.#load(db, file),
      async () => (this.#scoped.options.backend === "auto" ? openFile(this.#scoped.scope.fileName) : null),
    );
    this.#estimate = estimate;
    this.#touchDelayMs = touchDelayMs;
    this.#view = new NamespaceView(now);
  }

  open(options: StorageOptions): Promise<Opening> {
    return this.#inTurn<Opening>(
      async () => {
        this.#opened = {
          options,
          scope: keyScope(options.namespace, options.fingerprint),
          checksums: this.#opened?.checksums ?? (await createChecksums()),
        };
        await this.#tabs.join(`${DATABASE_NAME}/${this.#opened.scope.namespacePrefix}`, {
          onHeard: (message) => this.#hear(message),
          onLead: () => this.#lead(),
        });
        await this.#reload();
        this.#maxBytes = options.maxBytes ?? (await defaultMaxBytes(this.#estimate, this.#metas.bytes));
        this.#keepCap();
        this.#isIndexNew = false;
        return { index: this.#index(), fault: null };
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
        const keys = this.#recordKeys(chunks.map(({ key }) => key));
        const stored = await this.#connection.use((db, file) => readRecords(db, file, keys));
        const judged = chunks.map(({ header }, i) =>
          judgeRecord(stored[i], { key: keys[i], header }, this.#view, this.#scoped),
        );
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
    return this.#inTurnAnyway(async () => this.#touch(this.#recordKeys(keys)));
  }

  delete(keys: readonly KvKey[]): Promise<void> {
    return this.#inTurnAnyway(() => this.#forget(this.#recordKeys(keys)));
  }

  clear(): Promise<Clearing> {
    return this.#inTurn<Clearing>(
      async () => {
        const { scope } = this.#scoped;
        this.#view.clearEpoch = await this.#connection.use((db, file) => clearNamespace(db, file, scope));
        this.#metas.clear();
        this.#distrusted.clear();
        this.#tabs.tell(null);
        return { clearEpoch: this.#view.clearEpoch, usage: this.#usage(), fault: null };
      },
      (fault) => ({ clearEpoch: this.#view.clearEpoch, usage: null, fault }),
    );
  }

  flush(): Promise<void> {
    return this.#inTurnAnyway(() => this.#writeTouches());
  }

  hear(): Promise<readonly StorageChange[]> {
    return this.#news.take();
  }

  /** Gives the connection up; calls that come after it fail. */
  close(): void {
    this.#stopTimer();
    this.#tabs.close();
    this.#connection.close();
  }

  /** One call after the other, in the order in which they came. */
  #inTurn<T>(call: () => Promise<T>, onFault: (fault: StorageFault) => T): Promise<T> {
    const result = this.#lastCall
      .then(call)
      .catch((error) => onFault(toFault(error)))
      .finally(() => this.#tellIndex());
    this.#lastCall = result;
    return result;
  }

  /** A call whose failure changes nothing for anybody. */
  #inTurnAnyway(call: () => Promise<void>): Promise<void> {
    return this.#inTurn(call, () => {});
  }

  /** Where the metas were loaded anew within a call. */
  #tellIndex(): void {
    if (this.#isIndexNew) this.#news.add({ kind: "opened", index: this.#index() });
    this.#isIndexNew = false;
  }

  get #metas(): RecordMetas {
    return this.#view.metas;
  }

  get #scoped(): Opened {
    assert(this.#opened, "the store is used before it is opened");
    return this.#opened;
  }

  #index(): StorageIndex {
    const keys = this.#ownKeys(this.#metas.keysUnder(this.#scoped.scope.fingerprintPrefix));
    return { keys, clearEpoch: this.#view.clearEpoch, usage: this.#usage() };
  }

  async #reload(): Promise<void> {
    this.#connection.reload();
    await this.#connection.use(async () => {});
  }

  /** The tab that led may have died before it told what it had done last. */
  #lead(): void {
    const lead = async () => {
      await this.#reload();
      this.#tabs.tell(null);
      this.#tellChange([], this.#keepCap());
    };
    void this.#inTurnAnyway(lead);
  }

  /** Another tab has changed rows: memory follows them, and the tier hears of it. */
  #hear(message: unknown): void {
    const hear = async () => {
      if (message === null) await this.#reload();
      else if (Array.isArray(message)) await this.#look(message);
      this.#tellChange([], this.#keepCap());
    };
    void this.#inTurnAnyway(hear);
  }

  async #look(names: readonly unknown[]): Promise<void> {
    const { namespacePrefix } = this.#scoped.scope;
    const isOurs = (name: unknown): name is RecordKey => typeof name === "string" && name.startsWith(namespacePrefix);
    const keys = names.filter(isOurs);
    const { added, deleted } = await this.#connection.use((db) => this.#view.look(db, this.#scoped, keys));
    this.#tellChange(added, deleted);
  }

  #tellChange(added: readonly RecordKey[], deleted: readonly RecordKey[]): void {
    if (added.length + deleted.length === 0) return;
    const keys = { added: this.#ownKeys(added), deleted: this.#ownKeys(deleted) };
    this.#news.add({ kind: "changed", ...keys, usage: this.#usage() });
  }

  /** The leader deletes what is over the cap, soon. Returns what that is. */
  #keepCap(): RecordKey[] {
    if (!this.#tabs.isLeader) return [];
    const victims = this.#victims(this.#metas.bytes - this.#maxBytes);
    for (const key of victims) this.#metas.delete(key);
    this.#sweep(victims);
    return victims;
  }

  /** Takes in what the database has of the namespace; the leader deletes soon what is past its time. */
  async #load(db: BlockDatabase, file: RecordFile | null): Promise<void> {
    if (file) await tidyFile(db, file, this.#scoped.scope);
    const past = await this.#view.load(db, this.#scoped);
    this.#isIndexNew = true;
    if (this.#tabs.isLeader) this.#sweep(past);
  }

  /** Written, in order; null where the namespace was cleared since the write was planned. What has to go for it joins `evicted`. */
  async #write(epoch: number, chunks: readonly ChunkToWrite[], evicted: RecordKey[]): Promise<KvKey[] | null> {
    const { scope, checksums } = this.#scoped;
    const records = chunks.map(({ key, header, bytes }) => {
      return encodeRecord(scope.fingerprintPrefix + key, header, bytes, checksums);
    });
    const put = () => this.#connection.use((db, file) => this.#put(db, file, epoch, records, evicted));
    try {
      return await put();
    } catch (error) {
      if (!isQuotaExceeded(error)) throw error;
    }
    const victims = this.#victims(this.#metas.bytes * (1 - KEPT_AT_QUOTA), new Set(records.map(({ key }) => key)));
    await this.#connection.use((db) => deleteRecords(db, scope, victims));
    for (const key of victims) this.#metas.delete(key);
    this.#tabs.tell(victims);
    evicted.push(...victims);
    return put();
  }

  async #put(
    db: BlockDatabase,
    file: RecordFile | null,
    epoch: number,
    records: readonly BlockRecord[],
    evicted: RecordKey[],
  ): Promise<KvKey[] | null> {
    const { scope } = this.#scoped;
    const dayKey = this.#view.dayKey(scope);
    const slackBytes = this.#tabs.isLeader ? 0 : followerSlackBytes(this.#maxBytes);
    const limits = { maxBytes: this.#maxBytes, slackBytes, ownPrefix: scope.fingerprintPrefix };
    const found = await writeRecords(db, file, { records, epoch, scope, dayKey }, (rows) => {
      const believed = rows.map((row, i) => (this.#distrusted.has(records[i].key) ? undefined : row));
      return planWrite(this.#metas, records, believed, limits);
    });
    this.#view.wrote(dayKey, found.bytesWritten);
    if (found.epoch !== this.#view.clearEpoch) this.#connection.reload(); // Another tab cleared it.
    if (!found.plan) return null;
    const { victims, puts, present, written } = found.plan;
    this.#tabs.tell([...victims, ...puts.map(([{ key }]) => key)]);
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

  /** Deletes records (and rows). Where that fails they stay, and are not believed. */
  async #forget(keys: readonly RecordKey[]): Promise<void> {
    if (keys.length === 0) return;
    for (const key of keys) this.#metas.delete(key);
    try {
      if (this.#connection.db) {
        await deleteRecords(this.#connection.db, this.#scoped.scope, keys);
        this.#tabs.tell(keys);
        return;
      }
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
    void this.#inTurnAnyway(sweep).then(() => this.#sweep(keys.slice(SWEPT_AT_ONCE)));
  }

  async #writeTouches(): Promise<void> {
    this.#stopTimer();
    if (this.#metas.touched.length === 0) return;
    await this.#connection.use((db) => writeUses(db, this.#metas.touched));
    this.#tabs.tell(this.#metas.touched.map(([key]) => key));
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

  #recordKeys(keys: readonly KvKey[]): RecordKey[] {
    return keys.map((key) => this.#scoped.scope.fingerprintPrefix + key);
  }

  #ownKeys(keys: readonly RecordKey[]): KvKey[] {
    const prefix = this.#opened?.scope.fingerprintPrefix ?? "";
    return keys.flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
  }

  #usage(): StorageUsage {
    const bytesWrittenToday = this.#opened ? this.#view.bytesWrittenToday(this.#opened.scope) : 0;
    return { bytes: this.#metas.bytes, maxBytes: this.#maxBytes, bytesWrittenToday };
  }
}
