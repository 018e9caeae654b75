import type { KvKey } from "../../kv/chunk";
import { assert } from "../../util/errors";
import type { ChunkHeader, StorageFaultCode, StorageUsage } from "./storage-api";
import type { StorageExecutor, StorageOp, StorageResult, StorageState } from "./storage-op";

/** The host slots' bytes, as a test keeps them. */
export interface SlotContents<Bytes> {
  copyOut(slotId: number, key: KvKey): Bytes;
  /** An op begins to read into the slot: nobody may believe it. */
  spoil(slotId: number): void;
  copyIn(slotId: number, key: KvKey, bytes: Bytes): void;
}

interface ScriptedOptions {
  readonly chunkBytes: number;
  /** Chunks that may be written at once. */
  readonly maxChunksInFlight?: number;
  readonly maxReads?: number;
  /** Names a chunk in what the test sees. */
  readonly nameOf?: (key: KvKey) => string;
}

type EndingOp = Exclude<StorageOp, { kind: "touch" | "delete" }>;
interface OpUnderWay<Bytes> {
  readonly op: EndingOp;
  /** Of a write: copied when it was submitted. */
  readonly bytes: readonly Bytes[];
  /** Of a write: deleted when it has ended. */
  readonly deleted: Set<KvKey>;
}

/** A store behind the executor's interface. It opens, and its ops end, when the test says so; what it holds outlives restarts. */
export class ScriptedExecutor<Bytes> implements StorageExecutor {
  onResults: (() => void) | null = null;
  readonly records = new Map<KvKey, { readonly header: ChunkHeader; readonly bytes: Bytes }>();
  readonly touched: string[] = [];
  /** What was submitted, in words: "read a0>3 a1>2", "write a0<1", "touch a0 a1", "delete a0 a1", "clear"; the numbers are slots. */
  readonly log: string[] = [];
  /** Whether a chunk can be read; all that are there, unless told otherwise. */
  isGood: (key: KvKey) => boolean = () => true;
  clearEpoch = 0;
  /** False: a clear ends in vain. */
  canClear = true;
  readonly #contents: SlotContents<Bytes>;
  readonly #options: Required<ScriptedOptions>;
  #ops: OpUnderWay<Bytes>[] = [];
  #results: StorageResult[] = [];
  #lastOpId = 0;
  state: StorageState = "starting";

  constructor(contents: SlotContents<Bytes>, options: ScriptedOptions) {
    this.#contents = contents;
    this.#options = { maxChunksInFlight: 1000, maxReads: 4, nameOf: (key) => key, ...options };
  }

  get ops(): readonly EndingOp[] {
    return this.#ops.map(({ op }) => op);
  }

  get writeRoomBytes(): number {
    if (this.state !== "ready") return 0;
    const numInFlight = this.ops.reduce((sum, op) => sum + (op.kind === "write" ? op.chunks.length : 0), 0);
    return (this.#options.maxChunksInFlight - numInFlight) * this.#options.chunkBytes;
  }

  get readRoom(): number {
    return this.#options.maxReads - this.ops.filter(({ kind }) => kind === "read").length;
  }

  submit(op: StorageOp): void {
    this.log.push(this.#describe(op));
    if (op.kind === "touch") {
      this.touched.push(...op.keys.map(this.#options.nameOf));
      return;
    }
    if (op.kind === "delete") {
      for (const key of op.keys) {
        this.records.delete(key);
        for (const { deleted } of this.#ops) deleted.add(key);
      }
      return;
    }
    assert(op.opId > this.#lastOpId, () => `op ${op.opId} comes after ${this.#lastOpId}`);
    this.#lastOpId = op.opId;
    const isWrite = op.kind === "write";
    if (op.kind === "read") for (const { slotId } of op.chunks) this.#contents.spoil(slotId);
    if (isWrite) assert(op.chunks.length * this.#options.chunkBytes <= this.writeRoomBytes, "a write has no room");
    if (op.kind === "read") assert(this.readRoom > 0, "a read has no room");
    const bytes = isWrite ? op.chunks.map(({ slotId, key }) => this.#contents.copyOut(slotId, key)) : [];
    this.#ops.push({ op, bytes, deleted: new Set() });
  }

  takeResults(): readonly StorageResult[] {
    const results = this.#results;
    this.#results = [];
    return results;
  }

  close(): void {
    this.#ops = [];
  }

  /** The store is there; at first, and after a restart. */
  open(state: "ready" | "readOnly" = "ready"): void {
    this.setState(state);
    const keys = [...this.records.keys()];
    this.tell({ kind: "opened", index: { keys, clearEpoch: this.clearEpoch, usage: this.#usage } });
  }

  setState(state: StorageState, code: StorageFaultCode | null = null): void {
    this.state = state;
    this.tell({ kind: "state", state, fault: code && { code, message: `It is ${code}.` } });
  }

  /** The storage worker is gone: what was under way fails. */
  stop(state: "starting" | "off" = "starting"): void {
    for (const { opId } of this.ops) this.end(opId, false);
    this.setState(state, "worker");
  }

  /** The oldest op ends. */
  endNext(success = true): void {
    this.end(this.ops[0].opId, success);
  }

  endAll(success = true): void {
    while (this.ops.length > 0) this.endNext(success);
  }

  end(opId: number, success = true): void {
    const index = this.#ops.findIndex(({ op }) => op.opId === opId);
    const [{ op, bytes, deleted }] = this.#ops.splice(index, 1);
    if (op.kind === "read") this.#endRead(op, success);
    else if (op.kind === "write") this.#endWrite(op, bytes, deleted, success);
    else this.#endClear(op, success && this.canClear);
  }

  #endRead({ opId, chunks }: Extract<StorageOp, { kind: "read" }>, success: boolean): void {
    const arrived = chunks.map(({ key, header, slotId }) => {
      const record = this.records.get(key);
      if (!success || !record || !this.isGood(key)) return false;
      const isRight = JSON.stringify(record.header) === JSON.stringify(header);
      assert(
        isRight,
        () => `chunk ${key} was written as ${JSON.stringify(record.header)}, not ${JSON.stringify(header)}`,
      );
      this.#contents.copyIn(slotId, key, record.bytes);
      return true;
    });
    this.tell({ kind: "read", opId, arrived });
  }

  #endWrite(
    { opId, clearEpoch, chunks }: Extract<StorageOp, { kind: "write" }>,
    bytes: readonly Bytes[],
    deleted: ReadonlySet<KvKey>,
    success: boolean,
  ): void {
    const isTaken = success && clearEpoch === this.clearEpoch;
    if (isTaken) {
      chunks.forEach(({ key, header }, i) => {
        if (!this.records.has(key) && !deleted.has(key)) this.records.set(key, { header, bytes: bytes[i] });
      });
    }
    const written = isTaken ? chunks.map(({ key }) => key) : [];
    this.tell({ kind: "written", opId, written, evicted: [], usage: this.#usage });
  }

  #endClear({ opId }: Extract<StorageOp, { kind: "clear" }>, success: boolean): void {
    if (success) {
      this.records.clear();
      this.clearEpoch += 1;
    }
    this.tell({ kind: "cleared", opId, clearEpoch: success ? this.clearEpoch : null, usage: this.#usage });
  }

  get #usage(): StorageUsage {
    const bytes = this.records.size * this.#options.chunkBytes;
    return { bytes, maxBytes: 1000 * this.#options.chunkBytes, bytesWrittenToday: bytes };
  }

  /** Also what happened by itself, as the test says. */
  tell(result: StorageResult): void {
    this.#results.push(result);
    this.onResults?.();
  }

  #describe(op: StorageOp): string {
    const { nameOf } = this.#options;
    if (op.kind === "clear") return "clear";
    if (op.kind === "touch" || op.kind === "delete") return `${op.kind} ${op.keys.map(nameOf).join(" ")}`;
    const arrow = op.kind === "read" ? ">" : "<";
    return `${op.kind} ${op.chunks.map(({ key, slotId }) => `${nameOf(key)}${arrow}${slotId}`).join(" ")}`;
  }
}
