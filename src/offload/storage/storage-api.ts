import type { KvKey } from "../../kv/chunk";
import type { PrefixHash } from "../../kv/prefix-hashes";

/** What a chunk's KV was computed from. It is kept beside the bytes and compared when they are read. */
export interface ChunkHeader {
  /** Prefix hash of the chunk before it; null for the first chunk of a text. */
  readonly parent: PrefixHash | null;
  readonly tokenIds: readonly number[];
}

export interface StorageOptions {
  /** Apps of one origin that must not see each other's KV have different ones. */
  readonly namespace: string;
  /** Of model, weights and KV layout: records of another fingerprint are never read. 128 bits, in hex. */
  readonly fingerprint: string;
  readonly chunkBytes: number;
  /** Of all records of the namespace, whatever their fingerprint; null: min(2 GiB, half of what is free). */
  readonly maxBytes: number | null;
  /** A record that nobody used for so long is gone. */
  readonly ttlMs: number;
  /** Where bytes are put: "auto", in a file where the browser has one for several tabs; "indexeddb", in the records. */
  readonly backend: "auto" | "indexeddb";
}

/** What went wrong, as far as it can be told apart. */
export type StorageFaultCode =
  /** There is no IndexedDB here, or it may not be used. */
  | "unavailable"
  /** An open, a read or a write did not answer in time. */
  | "timeout"
  /** The browser gives no more room. */
  | "quota"
  /** The connection was lost, and so was the one after it. */
  | "closed"
  /** A record is not what was written, or not what its key says. It is deleted. */
  | "corrupt"
  /** The storage worker is gone, or could not be started. */
  | "worker"
  | "unknown";

export interface StorageFault {
  readonly code: StorageFaultCode;
  /** For a person. */
  readonly message: string;
}

/** How the store stands. Bytes are those of KV, without keys and headers. */
export interface StorageUsage {
  /** Of the namespace. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Written since midnight (UTC), by this and earlier sessions. */
  readonly bytesWrittenToday: number;
}

export interface StorageIndex {
  /** Of this namespace and fingerprint. */
  readonly keys: readonly KvKey[];
  /** Raised by `clear`. A write that was planned in an earlier one is refused. */
  readonly clearEpoch: number;
  readonly usage: StorageUsage;
}

/** What happened in the store by itself: by what other tabs did, or by their leader's eviction, which may be this one. */
export type StorageChange =
  /** Of this fingerprint, which are there now and which are not; none where only bytes changed. */
  | {
      readonly kind: "changed";
      readonly added: readonly KvKey[];
      readonly deleted: readonly KvKey[];
      readonly usage: StorageUsage;
    }
  /** The index was read anew: what it names is there, and nothing else. */
  | { readonly kind: "opened"; readonly index: StorageIndex };

export interface ChunkToWrite {
  readonly key: KvKey;
  readonly header: ChunkHeader;
  /** `chunkBytes` long, and transferred: the result gives it back. */
  readonly bytes: ArrayBuffer;
}

export interface WriteResult {
  /** Durable: whole, once the result is here. Chunks that were there before count. */
  readonly written: readonly KvKey[];
  /** Of this fingerprint, deleted to make room. */
  readonly evicted: readonly KvKey[];
  /** Those of the chunks, to be filled again. */
  readonly buffers: readonly ArrayBuffer[];
  readonly usage: StorageUsage;
  /** Why not all chunks were written; null also where they were refused because the store was cleared meanwhile. */
  readonly fault: StorageFault | null;
}

export interface ReadResult {
  /** In the order of what was asked for; null where there is nothing (any more) that can be believed. */
  readonly chunks: readonly (ArrayBuffer | null)[];
  readonly fault: StorageFault | null;
}

/**
 * A store of chunks that outlives the page: all that the engine's thread knows of it. Nothing here rejects: a call that fails has a
 * fault in its result. Calls go on in the order in which they came, and each is one transaction or none.
 */
export interface StorageApi {
  /** Comes first, and with the same options again where the index may be out of date. The fault is why there is no index. */
  open(options: StorageOptions): Promise<{ readonly index: StorageIndex | null; readonly fault: StorageFault | null }>;

  /**
   * Makes room under the byte cap first: records of other fingerprints go before those of this one, then what was used last goes last.
   * A tab that does not lead leaves that to the leader, as long as the cap is passed by little.
   */
  write(clearEpoch: number, chunks: readonly ChunkToWrite[]): Promise<WriteResult>;

  /** Of each chunk key, header and checksum are compared. Those that are read are used now, as by `touch`. */
  read(chunks: readonly { readonly key: KvKey; readonly header: ChunkHeader }[]): Promise<ReadResult>;

  /** These were used now, head first: the tail is evicted before the head. Written down by and by, and by `flush`. */
  touch(keys: readonly KvKey[]): Promise<void>;

  /** Nobody is to find these again. */
  delete(keys: readonly KvKey[]): Promise<void>;

  /** Deletes all of the namespace, and what is being written to it. */
  clear(): Promise<{
    readonly clearEpoch: number;
    readonly usage: StorageUsage | null;
    readonly fault: StorageFault | null;
  }>;

  /** Resolves when all that came before is durable. */
  flush(): Promise<void>;

  /** What happened by itself since the last call, in its order among the results of other calls; resolves when there is something. */
  hear(): Promise<readonly StorageChange[]>;
}
