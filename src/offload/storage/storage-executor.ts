import type { HostSlots } from "../transfer-job";
import { BufferPool } from "./buffer-pool";
import { Flights } from "./flights";
import type { ChunkToWrite, StorageApi, StorageFault, StorageOptions, WriteResult } from "./storage-api";
import type { StorageConnection } from "./storage-connection";
import {
  maxChunksPerOp,
  type SlotChunk,
  type StorageExecutor,
  type StorageOp,
  type StorageResult,
  type StorageState,
} from "./storage-op";

const MAX_READS = 4;
const OPEN_DEADLINE_MS = 2_000;
const CALL_DEADLINE_MS = 10_000;
const QUOTA_RETRY_MS = 600_000;

/** How long the store is waited for. */
export interface StorageDeadlines {
  readonly openDeadlineMs?: number;
  readonly callDeadlineMs?: number;
}

export interface StorageExecutorOptions extends StorageDeadlines {
  /** Starts a store; called once more where the first is lost. May throw. */
  readonly connect: () => StorageConnection;
  readonly storageOptions: StorageOptions;
  readonly slots: HostSlots;
  readonly now: () => number;
  /** After a write for which the browser had no room, none is tried for so long. */
  readonly quotaRetryMs?: number;
}

type OpOf<K extends StorageOp["kind"]> = Extract<StorageOp, { readonly kind: K }>;

/**
 * Carries ops out in the store at the other end of a connection. The connection is replaced once: where a call does not answer
 * in time, the worker dies or the store has lost its database. The second time the tier is off.
 */
export class StorageOpExecutor implements StorageExecutor {
  onResults: (() => void) | null = null;
  readonly #options: StorageExecutorOptions;
  readonly #callDeadlineMs: number;
  readonly #flights: Flights;
  readonly #buffers: BufferPool;
  #connection: StorageConnection | null = null;
  #state: StorageState = "starting";
  #results: StorageResult[] = [];
  /** The latest that the store has told. */
  #clearEpoch: number | null = null;
  #maxBytes = 0;
  #numWriteBytes = 0;
  #numReads = 0;
  /** While the state is "readOnly". */
  #retryAtMs = 0;
  #isOpening = false;
  #hasFailed = false;
  #isClosed = false;

  constructor(options: StorageExecutorOptions) {
    this.#options = options;
    this.#callDeadlineMs = options.callDeadlineMs ?? CALL_DEADLINE_MS;
    this.#flights = new Flights(
      (message) => this.#fail({ code: "timeout", message }),
      (message) => this.#fail({ code: "worker", message }),
    );
    const { chunkBytes } = options.storageOptions;
    this.#buffers = new BufferPool(chunkBytes, maxChunksPerOp(chunkBytes));
    this.#connect();
  }

  /** Never more than the store may hold: what one call writes fits. */
  get writeRoomBytes(): number {
    if (this.#state === "starting" || !this.#mayWrite) return 0;
    const { chunkBytes } = this.#options.storageOptions;
    return Math.max(0, Math.min(maxChunksPerOp(chunkBytes) * chunkBytes, this.#maxBytes) - this.#numWriteBytes);
  }

  get readRoom(): number {
    const isOpen = this.#state === "ready" || this.#state === "readOnly";
    return isOpen ? Math.max(0, MAX_READS - this.#numReads) : 0;
  }

  submit(op: StorageOp): void {
    switch (op.kind) {
      case "write":
        this.#write(op);
        break;
      case "read":
        this.#read(op);
        break;
      case "touch":
        this.#call("A touch", (api) => api.touch(op.keys));
        break;
      case "delete":
        this.#call("A delete", (api) => api.delete(op.keys));
        break;
      case "clear":
        this.#clear(op);
        break;
      default:
        op satisfies never;
    }
  }

  takeResults(): readonly StorageResult[] {
    const results = this.#results;
    this.#results = [];
    return results;
  }

  /** Resolves when all ops so far have their results, and what the store remembers is written down; at the latest by a deadline. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.#call(
        "A flush",
        (api) => api.flush(),
        () => resolve(),
      );
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#state = "off";
    this.#connection?.leave();
    this.#connection = null;
    this.#flights.giveUpAll();
    this.#results = [];
  }

  get #mayWrite(): boolean {
    if (this.#state === "readOnly") return this.#options.now() >= this.#retryAtMs;
    return this.#state !== "off";
  }

  #connect(): void {
    try {
      const connection = this.#options.connect();
      this.#connection = connection;
      connection.onDeath((message) => {
        if (this.#connection === connection) this.#fail({ code: "worker", message });
      });
    } catch (error) {
      this.#fail({ code: "worker", message: String(error) });
      return;
    }
    this.#open();
    void this.#listen(this.#connection);
  }

  /** Tells what the store says by itself, as long as it is ours. */
  async #listen(connection: StorageConnection | null): Promise<void> {
    try {
      while (connection && this.#connection === connection) {
        const changes = await connection.api.hear();
        if (this.#connection !== connection) return;
        for (const change of changes) {
          if (change.kind === "opened") this.#clearEpoch = change.index.clearEpoch;
          this.#push(change);
        }
      }
    } catch (error) {
      if (this.#connection === connection) this.#fail({ code: "worker", message: `Listening failed: ${error}` });
    }
  }

  #open(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    const start = (api: StorageApi) => api.open(this.#options.storageOptions);
    const onEnd = (answer: Awaited<ReturnType<StorageApi["open"]>> | null) => {
      this.#isOpening = false;
      if (answer?.index) {
        this.#clearEpoch = answer.index.clearEpoch;
        this.#maxBytes = answer.index.usage.maxBytes;
        this.#push({ kind: "opened", index: answer.index });
        if (this.#state === "starting") this.#setState("ready", null);
      } else if (answer) {
        this.#fail(answer.fault ?? { code: "unknown", message: "The store has no index." });
      }
    };
    this.#call("Opening", start, onEnd, this.#options.openDeadlineMs ?? OPEN_DEADLINE_MS);
  }

  #write(op: OpOf<"write">): void {
    const end = (result: WriteResult | null) => {
      const { written = [], evicted = [], usage = null } = result ?? {};
      this.#push({ kind: "written", opId: op.opId, written, evicted, usage });
    };
    const chunks = this.#mayWrite && this.#connection ? this.#copyOut(op.chunks) : null;
    if (!chunks) {
      end(null);
      return;
    }
    const numBytes = chunks.length * this.#options.storageOptions.chunkBytes;
    this.#numWriteBytes += numBytes;
    const start = (api: StorageApi) => api.write(op.clearEpoch, chunks);
    this.#call("A write", start, (result) => {
      this.#numWriteBytes -= numBytes;
      end(result);
      if (!result) return;
      this.#buffers.give(result.buffers);
      if (result.fault) this.#onFault(result.fault);
      else if (result.written.length < op.chunks.length) this.#onRefused(op.clearEpoch);
      else if (this.#state === "readOnly") this.#setState("ready", null);
    });
  }

  /** Null where there is no memory for it. */
  #copyOut(chunks: readonly SlotChunk[]): ChunkToWrite[] | null {
    const buffers = this.#buffers.take(chunks.length);
    if (!buffers) return null;
    return chunks.map(({ key, header, slotId }, i) => {
      new Uint8Array(buffers[i]).set(this.#options.slots.slot(slotId));
      return { key, header, bytes: buffers[i] };
    });
  }

  /** Where it was not our own clear that came between, another tab's was, and the books know nothing of it. */
  #onRefused(clearEpoch: number): void {
    if (clearEpoch === this.#clearEpoch) this.#open();
  }

  #read(op: OpOf<"read">): void {
    this.#numReads += 1;
    const start = (api: StorageApi) => api.read(op.chunks.map(({ key, header }) => ({ key, header })));
    this.#call("A read", start, (result) => {
      this.#numReads -= 1;
      const arrived = op.chunks.map(({ slotId }, i) => this.#copyIn(slotId, result?.chunks[i] ?? null));
      this.#push({ kind: "read", opId: op.opId, arrived });
      if (result?.fault) this.#onFault(result.fault);
    });
  }

  #copyIn(slotId: number, bytes: ArrayBuffer | null): boolean {
    if (!bytes || bytes.byteLength !== this.#options.storageOptions.chunkBytes) return false;
    this.#options.slots.slot(slotId).set(new Uint8Array(bytes));
    this.#buffers.give([bytes]);
    return true;
  }

  #clear({ opId }: OpOf<"clear">): void {
    const start = (api: StorageApi) => api.clear();
    this.#call("A clear", start, (result) => {
      const isCleared = result !== null && result.fault === null;
      if (isCleared) this.#clearEpoch = result.clearEpoch;
      if (isCleared) this.#retryAtMs = 0; // There is room now.
      const clearEpoch = isCleared ? result.clearEpoch : null;
      this.#push({ kind: "cleared", opId, clearEpoch, usage: result?.usage ?? null });
      if (result?.fault) this.#onFault(result.fault);
    });
  }

  /** `onEnd` hears null where there is no store, or none any more. */
  #call<T>(
    name: string,
    start: (api: StorageApi) => Promise<T>,
    onEnd: (answer: T | null) => void = () => {},
    deadlineMs = this.#callDeadlineMs,
  ): void {
    const api = this.#connection?.api;
    if (!api) {
      onEnd(null);
      return;
    }
    this.#flights.start(new Promise<T>((resolve) => resolve(start(api))), name, deadlineMs, onEnd);
  }

  #onFault(fault: StorageFault): void {
    if (fault.code === "corrupt") {
      this.#setState(this.#state, fault);
    } else if (fault.code === "quota") {
      this.#retryAtMs = this.#options.now() + (this.#options.quotaRetryMs ?? QUOTA_RETRY_MS);
      this.#setState("readOnly", fault);
    } else {
      this.#fail(fault);
    }
  }

  /** The store is of no more use: whatever it was asked has not happened, as far as anybody will know. */
  #fail(fault: StorageFault): void {
    if (this.#state === "off") return;
    this.#disconnect();
    if (this.#hasFailed || fault.code === "unavailable") {
      this.#setState("off", fault);
      return;
    }
    this.#hasFailed = true;
    this.#setState("starting", fault);
    this.#connect();
  }

  #disconnect(): void {
    this.#connection?.close();
    this.#connection = null;
    this.#flights.giveUpAll();
  }

  #setState(state: StorageState, fault: StorageFault | null): void {
    this.#state = state;
    this.#push({ kind: "state", state, fault });
  }

  /** Whoever takes results is told when what runs now has ended: never within a call of his own. */
  #push(result: StorageResult): void {
    if (this.#isClosed) return;
    this.#results.push(result);
    if (this.#results.length === 1) queueMicrotask(() => this.#results.length > 0 && this.onResults?.());
  }
}
