import type { ChunkOfPrefix, KvKey } from "../../kv/chunk";
import type { PrefixHashes } from "../../kv/prefix-hashes";
import type { HostManager } from "../host-manager";
import type { NeededChunk } from "../prefix-lookup";
import type { StorageChanges, StorageStats, StorageTier } from "../storage-tier";
import { ChangeLog } from "./change-log";
import { chunkHeader } from "./chunk-header";
import { Clears } from "./clears";
import { Promotions } from "./promotions";
import type { StorageIndex, StorageUsage } from "./storage-api";
import { maxChunksPerOp, type StorageExecutor, type StorageResult, type StorageState } from "./storage-op";
import { StoredKeys } from "./stored-keys";
import { WriteQueue } from "./write-queue";

const MAX_QUEUE_BYTES = 64 * 2 ** 20;

/** Which chunks are worth writing to storage. */
export interface CascadeFilter {
  accepts(key: KvKey): boolean;
}

export interface StorageBooksOptions {
  readonly host: HostManager;
  readonly executor: StorageExecutor;
  readonly numGroups: number;
  readonly blocksPerChunk: number;
  readonly chunkBytes: number;
  /** A clock in milliseconds. */
  readonly now: () => number;
  /** All, unless given. */
  readonly cascade?: CascadeFilter;
  /** Chunks that wait to be written; 64 MiB unless given. */
  readonly maxQueueBytes?: number;
}

/**
 * The books of storage: chunks that were stored in RAM cascade to it (WriteQueue); chunks that a request needs and only storage
 * has are promoted (Promotions); what it has is known from an index (StoredKeys).
 */
export class StorageBooks implements StorageTier {
  readonly #options: StorageBooksOptions;
  readonly #host: HostManager;
  readonly #executor: StorageExecutor;
  readonly #stored = new StoredKeys();
  readonly #promotions: Promotions;
  readonly #writes: WriteQueue;
  readonly #chunksPerOp: number;
  readonly #touched = new Set<KvKey>();
  readonly #clears = new Clears();
  readonly #changes = new ChangeLog();
  #clearEpoch = 0;
  #numOps = 0;
  #state: StorageState = "starting";
  #lastFault: StorageStats["lastFault"] = null;
  #usage: StorageUsage | null = null;
  #numWritten = 0;
  #numCutForRoom = 0;

  constructor(options: StorageBooksOptions) {
    const { host, executor, numGroups, blocksPerChunk, chunkBytes, now, maxQueueBytes = MAX_QUEUE_BYTES } = options;
    this.#options = options;
    this.#host = host;
    this.#executor = executor;
    this.#chunksPerOp = maxChunksPerOp(chunkBytes);
    this.#writes = new WriteQueue(Math.max(1, Math.floor(maxQueueBytes / chunkBytes)));
    const onChanged = (key: KvKey) => this.#changes.addKey(key);
    const onFailed = (key: KvKey, requestIds: Iterable<string>) => {
      this.#stored.delete([key]);
      this.#changes.addFailed(key, requestIds);
    };
    const onRead = (numChunks: number, ms: number) => this.#changes.addRead(numChunks, ms);
    this.#promotions = new Promotions({ host, numGroups, blocksPerChunk, now, onChanged, onFailed, onRead });
  }

  /** Takes in what came of ops, and what happened by itself. */
  settle(): void {
    for (const result of this.#executor.takeResults()) this.#take(result);
  }

  #take(result: StorageResult): void {
    switch (result.kind) {
      case "opened":
        this.#takeOpened(result.index);
        break;
      case "changed":
        this.#usage = result.usage;
        // What was there before a clear is not there any more, and what comes behind it is told behind its end.
        if (!this.isClearing) this.#stored.add(result.added);
        this.#stored.delete(result.deleted);
        break;
      case "written":
        this.#usage = result.usage ?? this.#usage;
        if (!this.#writes.complete(result.opId, result.written)) break;
        this.#numWritten += result.written.length;
        this.#stored.add(result.written);
        this.#stored.delete(result.evicted);
        break;
      case "read":
        this.#promotions.complete(result.opId, result.arrived);
        break;
      case "cleared":
        this.#takeCleared(result);
        break;
      case "state":
        this.#takeState(result);
        break;
      default:
        result satisfies never;
    }
  }

  /** What was there before a clear is not there any more, and where another tab cleared storage, what was to go there does not. */
  #takeOpened({ keys, clearEpoch, usage }: StorageIndex): void {
    const isClearedByOther = this.#stored.isKnown && !this.isClearing && clearEpoch > this.#clearEpoch;
    if (isClearedByOther) this.#writes.clear();
    if (isClearedByOther) this.#stored.forgetDiscarded();
    this.#stored.replace(this.isClearing || clearEpoch < this.#clearEpoch ? [] : keys);
    this.#clearEpoch = clearEpoch;
    this.#usage = usage;
    this.#changes.addIndex();
  }

  #takeCleared({ opId, clearEpoch, usage }: Extract<StorageResult, { kind: "cleared" }>): void {
    this.#clears.complete(opId, clearEpoch !== null);
    this.#usage = usage ?? this.#usage;
    if (clearEpoch === null) return;
    this.#clearEpoch = clearEpoch;
    this.#stored.forgetDiscarded();
  }

  #takeState({ state, fault }: Extract<StorageResult, { kind: "state" }>): void {
    this.#state = state;
    if (fault) this.#lastFault = { ...fault, timeMs: this.#options.now() };
    if (state === "readOnly" || state === "off") this.#writes.drop();
    if (state !== "off") return;
    this.#stored.replace([]);
    this.#promotions.failQueued();
    this.#changes.addIndex();
  }

  /** Hands on what is to be done, as far as there is room for it. */
  pump(): void {
    if (this.#clears.isWanted) this.#submitClear();
    this.#submitDeletes();
    while (this.#promotions.numQueued > 0 && this.#executor.readRoom > 0) {
      const opId = ++this.#numOps;
      this.#executor.submit({ kind: "read", opId, chunks: this.#promotions.startRead(opId, this.#chunksPerOp) });
    }
    while (this.#mayWrite && this.#writes.numWaiting > 0) this.#submitWrite();
    const keys = [...this.#touched].filter((key) => this.#stored.has(key));
    this.#touched.clear();
    if (keys.length > 0) this.#executor.submit({ kind: "touch", keys });
  }

  /** Behind the writes that were submitted before: what they write is deleted too. */
  #submitDeletes(): void {
    if (this.#state !== "ready" && this.#state !== "readOnly") return;
    const keys = this.#stored.takeToDelete();
    if (keys.length > 0) this.#executor.submit({ kind: "delete", keys });
  }

  #submitClear(): void {
    const opId = ++this.#numOps;
    this.#clears.submitted(opId);
    this.#executor.submit({ kind: "clear", opId });
  }

  get #mayWrite(): boolean {
    const hasRoom = this.#executor.writeRoomBytes >= this.#options.chunkBytes;
    return this.#state === "ready" && !this.isClearing && hasRoom;
  }

  #submitWrite(): void {
    const { chunkBytes, blocksPerChunk } = this.#options;
    const maxChunks = Math.min(this.#chunksPerOp, Math.floor(this.#executor.writeRoomBytes / chunkBytes));
    const readableSlot = (key: KvKey) => (this.#host.lookup(key) === "hit" ? this.#host.slotIdOf(key) : null);
    const taken = this.#writes.take(maxChunks, readableSlot);
    if (taken.length === 0) return;
    const opId = ++this.#numOps;
    const keys = taken.map(({ key }) => key);
    this.#writes.submitted(opId, keys);
    const chunks = taken.map(({ key, slotId, prefixHashes, lastBlock }) => {
      return { key, slotId, header: chunkHeader(prefixHashes, lastBlock, blocksPerChunk) };
    });
    this.#executor.submit({ kind: "write", opId, clearEpoch: this.#clearEpoch, chunks });
  }

  /** A clear was asked for, and has not ended. */
  get isClearing(): boolean {
    return this.#clears.areUnderWay;
  }

  /** See Clears. */
  get hasClearFailed(): boolean {
    return this.#clears.hasFailed;
  }

  get hasWork(): boolean {
    const numWrites = this.#writes.numWaiting + this.#writes.numOps;
    return this.#promotions.hasWork || numWrites > 0 || this.isClearing;
  }

  get nextDeadlineMs(): number {
    return this.#promotions.nextDeadlineMs;
  }

  persist(chunks: readonly ChunkOfPrefix[]): void {
    for (const chunk of chunks) {
      const slotId = this.#host.slotIdOf(chunk.key);
      if (slotId === null || this.#promotions.has(chunk.key) || !this.#isWanted(chunk.key)) continue;
      if (this.#host.lookup(chunk.key) === "pending") this.#writes.expect(slotId, chunk);
      else this.#writes.add(chunk);
    }
  }

  /** Storage takes the chunk, and neither has it nor is getting it. */
  #isWanted(key: KvKey): boolean {
    if (this.#state === "readOnly" || this.#state === "off" || this.#stored.isDiscarded(key)) return false;
    return !this.#stored.has(key) && !this.#writes.isInFlight(key) && (this.#options.cascade?.accepts(key) ?? true);
  }

  clear(): void {
    this.#stored.replace([]);
    this.#writes.clear();
    this.#promotions.discardAll();
    this.#touched.clear();
    this.#clears.want();
  }

  withoutRoom(chunks: readonly NeededChunk[]): readonly KvKey[] {
    const stored = headFirst(chunks).filter(({ state }) => state === "stored");
    if (stored.length === 0) return [];
    const cut = stored.slice(this.#promotions.room(new Set(chunks.map(({ key }) => key))));
    this.#numCutForRoom += cut.length;
    return cut.map(({ key }) => key);
  }

  promote(requestId: string, prefixHashes: PrefixHashes, chunks: readonly NeededChunk[], deadlineMs: number): void {
    this.#promotions.ask(requestId, prefixHashes, headFirst(chunks), deadlineMs);
  }

  isPromoted(requestId: string, key: KvKey): boolean {
    return this.#promotions.isAskedBy(requestId, key);
  }

  release(requestId: string): void {
    this.#promotions.release(requestId);
  }

  takeChanges(): StorageChanges {
    this.#promotions.endOverdue();
    return this.#changes.take();
  }

  get stats(): StorageStats {
    const { chunkBytes } = this.#options;
    const { bytes = null, maxBytes = null, bytesWrittenToday = null } = this.#usage ?? {};
    return {
      state: this.#state,
      lastFault: this.#lastFault,
      numChunks: this.#stored.size,
      numHeldSlots: this.#promotions.numHeldSlots,
      bytes,
      maxBytes,
      bytesWrittenToday,
      bytesNotDurable: (this.#writes.numWaiting + this.#writes.numInFlight) * chunkBytes,
      bytesDurable: this.#numWritten * chunkBytes,
      numPromotions: this.#promotions.numStarted,
      numPromoted: this.#promotions.numArrived,
      numPromotionsFailed: this.#promotions.numFailed,
      numCutForRoom: this.#numCutForRoom,
      numCascadeDropped: this.#writes.numDropped,
    };
  }

  /** Of a chunk that RAM does not have. */
  lookup(key: KvKey): "miss" | "stored" | "retry" {
    if (this.isClearing) return "miss";
    if (!this.#stored.isKnown) return "retry";
    return this.#stored.has(key) ? "stored" : "miss";
  }

  touch(keys: readonly KvKey[]): void {
    for (const key of keys) if (this.#stored.has(key)) this.#touched.add(key);
  }

  /** A store into RAM has ended, by which the slot is readable, or free. */
  storeEnded(slotId: number): void {
    const expected = this.#writes.takeExpected(slotId);
    const isHere = expected !== null && this.#host.slotIdOf(expected.key) === slotId;
    if (isHere && this.#isWanted(expected.key)) this.#writes.add(expected);
  }

  /** Comes before RAM forgets them. */
  discard(keys: readonly KvKey[]): void {
    this.#stored.discard(keys);
    this.#writes.discard(keys);
    this.#promotions.discard(keys);
  }

  /** RAM has forgotten all that it had. */
  hostCleared(): void {
    this.#promotions.forgetAll();
  }

  /** Slots that promotions write to, and readers that they are of others. */
  get holds(): { readonly numPending: number; readonly numReaders: number } {
    return { numPending: this.#promotions.numPending, numReaders: this.#promotions.numReaders };
  }

  /** Throws `internal` unless its parts agree with each other and with RAM, into which `numStores` stores are under way. */
  checkIntegrity(numStores: number): void {
    this.#writes.checkIntegrity(numStores);
    this.#promotions.checkIntegrity();
  }
}

/** By place in the prefix, then by group: as they come, by group. */
function headFirst(chunks: readonly NeededChunk[]): readonly NeededChunk[] {
  return chunks.toSorted((a, b) => a.lastBlock - b.lastBlock);
}
