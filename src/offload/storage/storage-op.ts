import type { KvKey } from "../../kv/chunk";
import type { ChunkHeader, StorageChange, StorageFault, StorageUsage } from "./storage-api";

/** Counts up and is never used twice. */
export type StorageOpId = number;

/** A chunk, and the host slot that its bytes come from or go to. */
export interface SlotChunk {
  readonly key: KvKey;
  readonly header: ChunkHeader;
  readonly slotId: number;
}

const MAX_OP_BYTES = 8 * 2 ** 20;
const MAX_OP_CHUNKS = 64;

/** Chunks of one read or write: enough that a transaction costs little beside them, and so few that they stall nobody. */
export function maxChunksPerOp(chunkBytes: number): number {
  return Math.max(1, Math.min(MAX_OP_CHUNKS, Math.floor(MAX_OP_BYTES / chunkBytes)));
}

/** What the books want done. Ops are carried out in their order. */
export type StorageOp =
  /** The slots are readable until whoever takes the op awaits something: it copies them at once, and nobody has to hold them. */
  | {
      readonly kind: "write";
      readonly opId: StorageOpId;
      readonly clearEpoch: number;
      readonly chunks: readonly SlotChunk[];
    }
  /** The slots are pending until the result is told, and only this op writes to them. */
  | { readonly kind: "read"; readonly opId: StorageOpId; readonly chunks: readonly SlotChunk[] }
  | { readonly kind: "touch"; readonly keys: readonly KvKey[] }
  /** Their records are not to be believed. */
  | { readonly kind: "delete"; readonly keys: readonly KvKey[] }
  | { readonly kind: "clear"; readonly opId: StorageOpId };

/** "starting": not opened yet. "readOnly": the browser gives no more room; it is tried again later. "off": RAM only from now on. */
export type StorageState = "starting" | "ready" | "readOnly" | "off";

/** What came of ops, and what happened by itself. The books take results in one at a time, at one point of a step. */
export type StorageResult =
  /** "opened" comes first, and again after the worker or its connection was lost, or another tab cleared storage. */
  | StorageChange
  | {
      readonly kind: "written";
      readonly opId: StorageOpId;
      readonly written: readonly KvKey[];
      readonly evicted: readonly KvKey[];
      readonly usage: StorageUsage | null;
    }
  /** For each chunk of the op, whether its bytes are in its slot. */
  | { readonly kind: "read"; readonly opId: StorageOpId; readonly arrived: readonly boolean[] }
  | {
      readonly kind: "cleared";
      readonly opId: StorageOpId;
      /** Null where it could not be cleared. */
      readonly clearEpoch: number | null;
      readonly usage: StorageUsage | null;
    }
  /** Every op that was taken gets its result all the same, before or after. */
  | { readonly kind: "state"; readonly state: StorageState; readonly fault: StorageFault | null };

/** Carries ops out: what lies between the books and the store. All that it promises, it says by `takeResults`. */
export interface StorageExecutor {
  /** Bytes that further "write" ops may have now; a write in flight uses them up. 0 while there is no store. */
  readonly writeRoomBytes: number;
  /** "read" ops that may be in flight beside those that are. */
  readonly readRoom: number;
  submit(op: StorageOp): void;
  /** In the order in which they came. */
  takeResults(): readonly StorageResult[];
  /** Called when there are results; set by who takes them. */
  onResults: (() => void) | null;
  /** Nothing comes any more: this thread ends, and the store with it. */
  close(): void;
}
