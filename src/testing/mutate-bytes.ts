import type { Random } from "./random";

type Bytes = Uint8Array<ArrayBuffer>;

/** A copy of the bytes with a few of them changed, cut off, put in or repeated. */
export function mutateBytes(bytes: Bytes, random: Random): Bytes {
  const at = random.int(0, bytes.length + 1);
  switch (random.int(0, 4)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return concat(
        bytes.subarray(0, at),
        Uint8Array.from(random.intArray(random.int(1, 9), 0, 256)),
        bytes.subarray(at),
      );
    case 2: {
      const end = Math.min(bytes.length, at + random.int(1, 200));
      return concat(bytes.subarray(0, end), bytes.subarray(at));
    }
    default: {
      const flipped = bytes.slice();
      for (let numFlips = random.int(1, 6); numFlips > 0; numFlips--) {
        flipped[random.int(0, bytes.length)] ^= 1 << random.int(0, 8);
      }
      return flipped;
    }
  }
}

/** Headers of safetensors files whose length lies. */
export function lieAboutHeaderLength(file: Bytes, random: Random): Bytes {
  const copy = file.slice();
  const view = new DataView(copy.buffer);
  const length = view.getBigUint64(0, true);
  const lies = [
    0n,
    1n,
    length - 1n,
    length + 1n,
    BigInt(file.length),
    99_999_999n,
    2n ** 32n,
    2n ** 63n,
    2n ** 64n - 1n,
  ];
  view.setBigUint64(0, lies[random.int(0, lies.length)], true);
  return copy;
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  return new Uint8Array(Buffer.concat(parts));
}
