import { hashName } from "../util/sha256";

/** SHA-256 of a file, in hex. */
export type FileHash = string;

/** Names the content of all weight files: 128 bits of SHA-256, in hex, over lines of name and hash in the order of the names. */
export function hashWeights(hashes: ReadonlyMap<string, FileHash>): string {
  const lines = [...hashes].map(([file, hash]) => `${file} ${hash}\n`).sort();
  return hashName(lines.join(""));
}
