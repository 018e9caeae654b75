import type { KvKey } from "../kv/chunk";
import type { StorageUsage } from "../offload/storage/storage-api";
import {
  maxChunksPerOp,
  type StorageExecutor,
  type StorageOp,
  type StorageResult,
} from "../offload/storage/storage-op";

/** What storage costs, in milliseconds. */
export interface StorageCosts {
  /** Every read or write, whatever its size. */
  readonly storageOpMs: number;
  /** Every MiB from storage to RAM. */
  readonly storageReadMsPerMiB: number;
  /** Every MiB from RAM to storage. */
  readonly storageWriteMsPerMiB: number;
}

export interface ModelledStorageOptions {
  readonly costs: StorageCosts;
  readonly chunkBytes: number;
  /** Chunks that it holds at most. */
  readonly maxChunks: number;
  /** A clock in milliseconds. */
  readonly now: () => number;
}

const MIB = 1 << 20;
const MAX_READS = 4;

/**
 * Storage that takes the modelled time and keeps keys, no bytes. It is open from the beginning. Reads run one after the other,
 * and so do writes, beside them. When it is full, what was written or used least recently goes.
 */
export class ModelledStorage implements StorageExecutor {
  onResults: (() => void) | null = null;
  readonly #options: ModelledStorageOptions;
  /** The least recently used first. */
  readonly #keys = new Set<KvKey>();
  #reads: { readonly op: Extract<StorageOp, { kind: "read" }>; readonly resultMs: number }[] = [];
  #writes: { readonly op: Extract<StorageOp, { kind: "write" }>; readonly resultMs: number }[] = [];
  #results: StorageResult[];
  #clearEpoch = 0;
  #numWritten = 0;

  constructor(options: ModelledStorageOptions) {
    this.#options = options;
    this.#results = [
      { kind: "state", state: "ready", fault: null },
      { kind: "opened", index: { keys: [], clearEpoch: 0, usage: this.#usage } },
    ];
  }

  get writeRoomBytes(): number {
    const { chunkBytes } = this.#options;
    const numWriting = this.#writes.reduce((sum, { op }) => sum + op.chunks.length, 0);
    return (maxChunksPerOp(chunkBytes) - numWriting) * chunkBytes;
  }

  get readRoom(): number {
    return MAX_READS - this.#reads.length;
  }

  /** When the next read or write ends; Infinity when none is under way. */
  get nextResultMs(): number {
    return Math.min(...[...this.#reads, ...this.#writes].map(({ resultMs }) => resultMs));
  }

  submit(op: StorageOp): void {
    const { storageReadMsPerMiB, storageWriteMsPerMiB } = this.#options.costs;
    switch (op.kind) {
      case "read":
        this.#reads.push({ op, resultMs: this.#endMs(this.#reads, op.chunks.length, storageReadMsPerMiB) });
        break;
      case "write":
        this.#writes.push({ op, resultMs: this.#endMs(this.#writes, op.chunks.length, storageWriteMsPerMiB) });
        break;
      case "touch":
        for (const key of op.keys) if (this.#keys.delete(key)) this.#keys.add(key);
        break;
      case "delete":
        for (const key of op.keys) this.#keys.delete(key);
        break;
      case "clear":
        this.#keys.clear();
        this.#clearEpoch += 1;
        this.#results.push({ kind: "cleared", opId: op.opId, clearEpoch: this.#clearEpoch, usage: this.#usage });
        break;
      default:
        op satisfies never;
    }
  }

  takeResults(): readonly StorageResult[] {
    const nowMs = this.#options.now();
    const isDue = ({ resultMs }: { readonly resultMs: number }) => resultMs <= nowMs;
    for (const { op } of this.#reads.filter(isDue)) {
      this.#results.push({ kind: "read", opId: op.opId, arrived: op.chunks.map(({ key }) => this.#keys.has(key)) });
    }
    for (const { op } of this.#writes.filter(isDue)) this.#endWrite(op);
    this.#reads = this.#reads.filter((each) => !isDue(each));
    this.#writes = this.#writes.filter((each) => !isDue(each));
    const results = this.#results;
    this.#results = [];
    return results;
  }

  close(): void {
    this.#reads = [];
    this.#writes = [];
  }

  #endMs(ahead: readonly { readonly resultMs: number }[], numChunks: number, msPerMiB: number): number {
    const { costs, chunkBytes, now } = this.#options;
    const startMs = ahead.at(-1)?.resultMs ?? now();
    return startMs + costs.storageOpMs + (msPerMiB * numChunks * chunkBytes) / MIB;
  }

  #endWrite({ opId, clearEpoch, chunks }: Extract<StorageOp, { kind: "write" }>): void {
    const written = clearEpoch === this.#clearEpoch ? chunks.map(({ key }) => key) : [];
    for (const key of written) this.#keys.add(key);
    this.#numWritten += written.length;
    const evicted = [...this.#keys].slice(0, Math.max(0, this.#keys.size - this.#options.maxChunks));
    for (const key of evicted) this.#keys.delete(key);
    this.#results.push({ kind: "written", opId, written, evicted, usage: this.#usage });
  }

  get #usage(): StorageUsage {
    const { chunkBytes, maxChunks } = this.#options;
    return {
      bytes: this.#keys.size * chunkBytes,
      maxBytes: maxChunks * chunkBytes,
      bytesWrittenToday: this.#numWritten * chunkBytes,
    };
  }
}
