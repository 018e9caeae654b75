import xxhash, { type XXHashAPI } from "xxhash-wasm";

/** A checksum as records hold it: what made it, and its value in hex. */
export type Checksum = `${"xxh64" | "crc32"}:${string}`;

/** Checksums find what is torn or rotten; they keep nobody from writing a record of his own. */
export interface Checksums {
  of(parts: readonly Uint8Array<ArrayBuffer>[]): Checksum;
  /** Null where this page cannot compute what the record was written with. */
  verify(checksum: string, parts: readonly Uint8Array<ArrayBuffer>[]): boolean | null;
}

/** xxh64 where WebAssembly may be used, else CRC-32 in JavaScript, which is some twenty times slower. */
export async function createChecksums(): Promise<Checksums> {
  let xxh: XXHashAPI | null = null;
  try {
    xxh = await xxhash();
  } catch {
    // The page's Content-Security-Policy refuses WebAssembly, or there is none.
  }
  return {
    of: (parts) => (xxh ? xxh64(xxh, parts) : crc32(parts)),
    verify(checksum, parts) {
      if (checksum.startsWith("crc32:")) return crc32(parts) === checksum;
      if (!checksum.startsWith("xxh64:")) return false;
      return xxh && xxh64(xxh, parts) === checksum;
    },
  };
}

function xxh64(xxh: XXHashAPI, parts: readonly Uint8Array[]): Checksum {
  const hash = xxh.create64();
  for (const part of parts) hash.update(part);
  return `xxh64:${hash.digest().toString(16).padStart(16, "0")}`;
}

/** CRC of each byte alone, for the reflected polynomial of zlib. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

function crc32(parts: readonly Uint8Array[]): Checksum {
  let crc = 0xffffffff;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) crc = CRC_TABLE[(crc ^ part[i]) & 0xff] ^ (crc >>> 8);
  }
  return `crc32:${(~crc >>> 0).toString(16).padStart(8, "0")}`;
}
