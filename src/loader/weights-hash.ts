import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/** SHA-256 of a file, in hex. */
export type FileHash = string;

/** Takes a file's hash while its bytes pass. */
export class FileHasher {
  readonly #hash = sha256.create();

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  digest(): FileHash {
    return bytesToHex(this.#hash.digest());
  }
}

/** Names the content of all weight files: 128 bits of SHA-256, in hex, over lines of name and hash in the order of the names. */
export function weightsHash(hashes: ReadonlyMap<string, FileHash>): string {
  const lines = [...hashes].map(([file, hash]) => `${file} ${hash}\n`).sort();
  return bytesToHex(sha256(utf8ToBytes(lines.join("")))).slice(0, 32);
}
