import type { KvKey } from "../../kv/chunk";
import { CHUNK_BYTES, chunk, OPTIONS } from "./block-store.fixture";
import type {
  ReadResult,
  StorageApi,
  StorageChange,
  StorageFault,
  StorageFaultCode,
  StorageIndex,
  WriteResult,
} from "./storage-api";
import { type StorageExecutorOptions, StorageOpExecutor } from "./storage-executor";
import type { SlotChunk, StorageOpId } from "./storage-op";

/** A call that a scripted store has taken and not answered yet. */
export interface ScriptedCall {
  readonly name: keyof StorageApi;
  readonly args: readonly unknown[];
  answer(result?: unknown): Promise<void>;
  reject(error: unknown): Promise<void>;
}

/** A connection to a store that answers when the test says so. */
export class ScriptedConnection {
  readonly calls: ScriptedCall[] = [];
  isClosed = false;
  hasLeft = false;
  die: (message: string) => void = () => {};
  /** The store tells what happened by itself. */
  tell: (...changes: StorageChange[]) => void = () => {};
  deafen: (error: Error) => void = () => {};

  readonly api: StorageApi = {
    open: (...args) => this.#call("open", args),
    write: (...args) => this.#call("write", args),
    read: (...args) => this.#call("read", args),
    touch: (...args) => this.#call("touch", args),
    delete: (...args) => this.#call("delete", args),
    clear: (...args) => this.#call("clear", args),
    flush: (...args) => this.#call("flush", args),
    hear: () => {
      return new Promise((resolve, reject) => {
        this.tell = (...changes) => resolve(changes);
        this.deafen = reject;
      });
    },
  };

  close(): void {
    this.isClosed = true;
  }

  leave(): void {
    this.hasLeft = true;
  }

  onDeath(callback: (message: string) => void): void {
    this.die = callback;
  }

  #call<T>(name: keyof StorageApi, args: readonly unknown[]): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.calls.push({
        name,
        args,
        answer: (result) => settled(() => resolve(result as T)),
        reject: (error) => settled(() => reject(error)),
      });
    });
  }
}

/** When all has run that follows from it. */
export async function settled(cause: () => void = () => {}): Promise<void> {
  cause();
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

export const USAGE = { bytes: 0, maxBytes: OPTIONS.maxBytes ?? 0, bytesWrittenToday: 0 };

export function index(clearEpoch = 0, keys: KvKey[] = []): StorageIndex {
  return { keys, clearEpoch, usage: USAGE };
}

export const fault = (code: StorageFaultCode): StorageFault => ({ code, message: `injected ${code}` });

/** An executor over scripted connections, with 8 slots whose bytes are all their number. */
export function makeExecutor(options: Partial<StorageExecutorOptions> = {}) {
  const connections: ScriptedConnection[] = [];
  const clock = { nowMs: 0 };
  const slots = Array.from({ length: 8 }, (_, slotId) => new Uint8Array(CHUNK_BYTES).fill(slotId));
  const executor = new StorageOpExecutor({
    connect() {
      connections.push(new ScriptedConnection());
      return connections.at(-1)!;
    },
    storageOptions: OPTIONS,
    slots: { slot: (slotId) => slots[slotId] },
    now: () => clock.nowMs,
    ...options,
  });
  return { executor, connections, clock, slots };
}

/** One that is open, its first results taken. */
export async function makeOpenExecutor(options: Partial<StorageExecutorOptions> = {}) {
  const made = makeExecutor(options);
  await made.connections[0].calls[0].answer({ index: index(), fault: null });
  made.executor.takeResults();
  made.connections[0].calls.length = 0;
  return { ...made, connection: made.connections[0] };
}

export function slotChunks(...slotIds: number[]): SlotChunk[] {
  return slotIds.map((slotId) => ({ key: `0/${slotId}`, header: chunk(`0/${slotId}`).header, slotId }));
}

export function writeOp(opId: StorageOpId, ...slotIds: number[]) {
  return { kind: "write", opId, clearEpoch: 0, chunks: slotChunks(...slotIds) } as const;
}

export function readOp(opId: StorageOpId, ...slotIds: number[]) {
  return { kind: "read", opId, chunks: slotChunks(...slotIds) } as const;
}

export function writeResult(written: readonly KvKey[], rest: Partial<WriteResult> = {}): WriteResult {
  return { written, evicted: [], buffers: [], usage: USAGE, fault: null, ...rest };
}

/** Bytes that are all `fill`; null for null. */
export function readResult(fills: readonly (number | null)[], rest: Partial<ReadResult> = {}): ReadResult {
  const chunks = fills.map((fill) => (fill === null ? null : new Uint8Array(CHUNK_BYTES).fill(fill).buffer));
  return { chunks, fault: null, ...rest };
}
