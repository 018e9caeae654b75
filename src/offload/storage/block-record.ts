import type { PrefixHash } from "../../kv/prefix-hashes";
import { hashName } from "../../util/sha256";
import type { Checksum, Checksums } from "./checksum";
import type { ChunkHeader } from "./storage-api";

/** Raised when the layout of records changes: those of another one are not believed. */
const FORMAT = 1;

/** `namespace/fingerprint/group/hash`: keys sort by what they belong to. */
export type RecordKey = string;

/** A chunk in the store `blocks`. */
export interface BlockRecord {
  readonly format: number;
  readonly key: RecordKey;
  readonly parent: PrefixHash | null;
  readonly tokenIds: readonly number[];
  /** Of format, key, parent and token ids (as JSON), and the bytes. */
  readonly checksum: Checksum;
  readonly bytes: ArrayBuffer;
}

/** As the store `blocks` has it. Null: the bytes are in the namespace's file, where the record's meta says. */
export interface StoredRecord extends Omit<BlockRecord, "bytes"> {
  readonly bytes: ArrayBuffer | null;
}

/** What record keys, and the rows of a namespace that are not of one record, begin with. */
export interface KeyScope {
  readonly namespacePrefix: string;
  readonly fingerprintPrefix: string;
  readonly epochKey: string;
  readonly spaceKey: string;
  /** Of the file that holds records' bytes. */
  readonly fileName: string;
  /** The rest of the key of a day's row is the date. */
  readonly dayPrefix: string;
}

/** A namespace may be any text, so that its hash stands in keys. */
export function keyScope(namespace: string, fingerprint: string): KeyScope {
  // As JSON, because it escapes what UTF-8 cannot say: half of a surrogate pair.
  const hash = hashName(JSON.stringify(namespace));
  return {
    namespacePrefix: `${hash}/`,
    fingerprintPrefix: `${hash}/${fingerprint}/`,
    epochKey: `epoch/${hash}`,
    spaceKey: `space/${hash}`,
    fileName: hash,
    dayPrefix: `day/${hash}/`,
  };
}

/** All keys that begin with `prefix`, which ends with "/". */
export function rangeOf(prefix: string): IDBKeyRange {
  return IDBKeyRange.bound(prefix, `${prefix.slice(0, -1)}0`, false, true); // "0" comes behind "/".
}

export function encodeRecord(
  key: RecordKey,
  { parent, tokenIds }: ChunkHeader,
  bytes: ArrayBuffer,
  checksums: Checksums,
): BlockRecord {
  const checksum = checksums.of(checkedParts(FORMAT, key, parent, tokenIds, bytes));
  return { format: FORMAT, key, parent, tokenIds, checksum, bytes };
}

/** What is read where a record is no proof of anything: a store may hold whatever somebody put there. */
type Unchecked<T> = { readonly [K in keyof T]?: unknown };

/** The chunk's bytes, if all about the record is as it was asked for. "unverifiable": it may well be, but cannot be checked here. */
export function decodeRecord(
  record: Unchecked<BlockRecord>,
  expected: { readonly key: RecordKey; readonly header: ChunkHeader; readonly chunkBytes: number },
  checksums: Checksums,
): ArrayBuffer | "corrupt" | "unverifiable" {
  const { format, key, parent, tokenIds, checksum, bytes } = record;
  const { header, chunkBytes } = expected;
  const isExpected =
    format === FORMAT &&
    key === expected.key &&
    parent === header.parent &&
    JSON.stringify(tokenIds) === JSON.stringify(header.tokenIds);
  if (!isExpected || !(bytes instanceof ArrayBuffer) || bytes.byteLength !== chunkBytes) return "corrupt";
  const parts = checkedParts(format, key, header.parent, header.tokenIds, bytes);
  const isRight = checksums.verify(String(checksum), parts);
  if (isRight === null) return "unverifiable";
  return isRight ? bytes : "corrupt";
}

function checkedParts(
  format: number,
  key: RecordKey,
  parent: PrefixHash | null,
  tokenIds: readonly number[],
  bytes: ArrayBuffer,
): Uint8Array<ArrayBuffer>[] {
  const header = new TextEncoder().encode(JSON.stringify([format, key, parent, tokenIds]));
  return [header, new Uint8Array(bytes)];
}
