import type { PrefixHashes } from "../../kv/prefix-hashes";
import type { ChunkHeader } from "./storage-api";

/** Of the chunk of `numBlocks` blocks that ends with block `lastBlock`: what came before it, and its ids. */
export function chunkHeader(prefixHashes: PrefixHashes, lastBlock: number, numBlocks: number): ChunkHeader {
  const { blockSize } = prefixHashes;
  const first = lastBlock + 1 - numBlocks;
  const tokenIds = prefixHashes.tokenIds(first * blockSize, (lastBlock + 1) * blockSize);
  return { parent: first === 0 ? null : prefixHashes.at(first - 1), tokenIds };
}
