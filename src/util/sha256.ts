const BLOCK_BYTES = 64;

const PRIMES = firstPrimes(64);
/** The first 32 bits of the fractions of the primes' cube roots, and of the first eight's square roots (FIPS 180-4). */
const ROUND_CONSTANTS = Int32Array.from(PRIMES, (prime) => fractionBits(Math.cbrt(prime)));
const START = Int32Array.from(PRIMES.slice(0, 8), (prime) => fractionBits(Math.sqrt(prime)));

/** SHA-256 of bytes that come in pieces; synchronous, unlike the browser's own. */
export class Sha256 {
  readonly #state = new Int32Array(START);
  readonly #words = new Int32Array(BLOCK_BYTES);
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #numBytes = 0;

  update(bytes: Uint8Array): this {
    let position = 0;
    const numOpen = this.#numBytes % BLOCK_BYTES;
    this.#numBytes += bytes.length;
    if (numOpen > 0) {
      position = Math.min(bytes.length, BLOCK_BYTES - numOpen);
      this.#block.set(bytes.subarray(0, position), numOpen);
      if (numOpen + position < BLOCK_BYTES) return this;
      this.#compress(this.#block, 0);
    }
    for (; position + BLOCK_BYTES <= bytes.length; position += BLOCK_BYTES) this.#compress(bytes, position);
    this.#block.set(bytes.subarray(position));
    return this;
  }

  /** 32 bytes. Ends the hash: nothing may follow. */
  digest(): Uint8Array {
    const numBytes = this.#numBytes;
    const padding = new Uint8Array(BLOCK_BYTES + 8 - ((numBytes + 8) % BLOCK_BYTES));
    padding[0] = 0x80;
    const numBits = new DataView(padding.buffer, padding.length - 8);
    numBits.setUint32(0, Math.floor(numBytes / 2 ** 29));
    numBits.setUint32(4, numBytes * 8);
    this.update(padding);
    const digest = new DataView(new ArrayBuffer(32));
    this.#state.forEach((word, i) => {
      digest.setInt32(4 * i, word);
    });
    return new Uint8Array(digest.buffer);
  }

  /** Every sum is cut to 32 bits at once, so that engines keep integers. */
  #compress(bytes: Uint8Array, start: number): void {
    const state = this.#state;
    const w = this.#words;
    const k = ROUND_CONSTANTS;
    for (let i = 0, at = start; i < 16; i++, at += 4) {
      w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < 64; i++) {
      const a = w[i - 15];
      const b = w[i - 2];
      const s0 = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3);
      const s1 = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
      w[i] = (((w[i - 16] + s0) | 0) + ((w[i - 7] + s1) | 0)) | 0;
    }
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    let e = state[4];
    let f = state[5];
    let g = state[6];
    let h = state[7];
    for (let i = 0; i < 64; i++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const t1 = (((((h + s1) | 0) + ((e & f) ^ (~e & g))) | 0) + ((k[i] + w[i]) | 0)) | 0;
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Sha256().update(bytes).digest();
}

/** A name for a text of any length: 128 bits of SHA-256, in hex. */
export function hashName(text: string): string {
  return bytesToHex(sha256(new TextEncoder().encode(text))).slice(0, 32);
}

export function bytesToHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function fractionBits(root: number): number {
  return ((root % 1) * 2 ** 32) | 0;
}

function firstPrimes(count: number): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  return primes;
}
