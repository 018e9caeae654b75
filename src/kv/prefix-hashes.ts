import { assert } from "../util/errors";
import { bytesToHex, sha256 } from "../util/sha256";

/** Names a block's content and its whole prefix: 128 bits of SHA-256, in hex. */
export type PrefixHash = string;

const HASH_BYTES = 16;

/** What a hash covers beside the tokens. Two requests share blocks only where all of it is equal. */
export interface PrefixExtraKeys {
  readonly cacheSalt: string | null;
  /** Where blocks may come back from other tiers a little changed. */
  readonly lossyEncoding?: "int8";
}

/**
 * The hashes of one request's full blocks, each chained to the one before and the first to the extra keys, so that a
 * hash names all tokens up to its block's end. They are made when first asked for. Ids become known, but never change.
 */
export class PrefixHashes {
  readonly blockSize: number;
  /** Ids of positions [start, end), fewer where they are not known. */
  readonly tokenIds: (start: number, end: number) => readonly number[];
  readonly #hashes: PrefixHash[] = [];
  #last: Uint8Array;
  readonly #message: Uint8Array;

  constructor(
    blockSize: number,
    extraKeys: PrefixExtraKeys,
    tokenIds: (start: number, end: number) => readonly number[],
  ) {
    this.blockSize = blockSize;
    this.tokenIds = tokenIds;
    this.#last = digest(new TextEncoder().encode(JSON.stringify(extraKeys)));
    this.#message = new Uint8Array(HASH_BYTES + 4 * blockSize);
  }

  /** The hash of block `index`, all of whose ids must be known. */
  at(index: number): PrefixHash {
    while (this.#hashes.length <= index) this.#hashes.push(this.#hashNext());
    return this.#hashes[index];
  }

  #hashNext(): PrefixHash {
    const start = this.#hashes.length * this.blockSize;
    const tokenIds = this.tokenIds(start, start + this.blockSize);
    assert(tokenIds.length === this.blockSize, () => `block at ${start} has ${tokenIds.length} known ids, is not full`);
    this.#message.set(this.#last);
    const words = new DataView(this.#message.buffer, HASH_BYTES);
    tokenIds.forEach((tokenId, i) => {
      words.setUint32(4 * i, tokenId, true); // Records outlive the machine that wrote them: one byte order.
    });
    this.#last = digest(this.#message);
    return bytesToHex(this.#last);
  }
}

function digest(bytes: Uint8Array): Uint8Array {
  return sha256(bytes).subarray(0, HASH_BYTES);
}
