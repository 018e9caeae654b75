import type { KvGeometry } from "./geometry";
import type { PrefixHash, PrefixHashes } from "./prefix-hashes";

/** Tokens of a chunk at most: long enough to be worth a transfer, short enough that a prefix is cut late. */
const MAX_CHUNK_TOKENS = 64;
/** A chunk of pages that are large anyway need not be larger. */
const CHUNK_BYTES = 512 * 1024;

/**
 * Names the content of blocks up to a boundary in one KV cache group: of a block in the prefix cache, and of the chunk
 * that ends with it.
 */
export type KvKey = string;

/** A chunk, and what its header is made of. */
export interface ChunkOfPrefix {
  readonly key: KvKey;
  readonly prefixHashes: PrefixHashes;
  /** The block of that prefix that the chunk ends with. */
  readonly lastBlock: number;
}

export function kvKey(group: number, hash: PrefixHash): KvKey {
  return `${group}/${hash}`;
}

/**
 * Blocks in a chunk, the unit of every tier below the GPU: one size for all groups, so that a boundary of one is a boundary of
 * all. At most half the smallest window, so that a window's chunk is complete before its first block leaves.
 */
export function chooseBlocksPerChunk({
  blockSize,
  groups,
  pageBytes,
}: Pick<KvGeometry, "blockSize" | "groups" | "pageBytes">): number {
  const windows = groups.flatMap(({ window }) => (window === null ? [] : [window]));
  const maxTokens = Math.min(MAX_CHUNK_TOKENS, ...windows.map((window) => Math.floor(window / 2)));
  return Math.max(1, Math.min(Math.floor(maxTokens / blockSize), Math.ceil(CHUNK_BYTES / pageBytes)));
}
