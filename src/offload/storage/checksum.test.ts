import { afterEach, describe, expect, test, vi } from "vitest";
import { createChecksums } from "./checksum";

const utf8 = (text: string) => new TextEncoder().encode(text);

/** Checksums of a page whose Content-Security-Policy refuses WebAssembly. */
async function withoutWebAssembly() {
  const refuse = () => Promise.reject(new WebAssembly.CompileError("Refused to compile: unsafe-eval"));
  vi.spyOn(WebAssembly, "instantiate").mockImplementation(refuse);
  vi.spyOn(WebAssembly, "compile").mockImplementation(refuse);
  return await createChecksums();
}

afterEach(() => vi.restoreAllMocks());

describe("checksums", () => {
  test("are xxh64, whatever the parts that the bytes come in", async () => {
    const checksums = await createChecksums();
    expect(checksums.of([])).toBe("xxh64:ef46db3751d8e999");
    expect(checksums.of([utf8("abc")])).toBe("xxh64:44bc2cf5ad770999");
    expect(checksums.of([utf8("a"), utf8(""), utf8("bc")])).toBe("xxh64:44bc2cf5ad770999");
  });

  test("are CRC-32 where WebAssembly is refused", async () => {
    const checksums = await withoutWebAssembly();
    expect(checksums.of([utf8("123456789")])).toBe("crc32:cbf43926");
    expect(checksums.of([utf8("1234"), utf8("56789")])).toBe("crc32:cbf43926");
    expect(checksums.of([])).toBe("crc32:00000000");
  });

  test("one of a large part is that of its pieces", async () => {
    const bytes = Uint8Array.from({ length: 3_000_001 }, (_, i) => (i * 7919) >>> 3);
    const pieces = [bytes.subarray(0, 33), bytes.subarray(33, 2_000_000), bytes.subarray(2_000_000)];
    for (const checksums of [await createChecksums(), await withoutWebAssembly()]) {
      expect(checksums.of(pieces)).toBe(checksums.of([bytes]));
    }
  });

  test("tell a flipped bit, and what they cannot tell", async () => {
    const [xxh, crc] = [await createChecksums(), await withoutWebAssembly()];
    const [good, bad] = [[utf8("chunk")], [utf8("chunj")]];
    for (const [writer, reader, ofGood, ofBad] of [
      [xxh, xxh, true, false],
      [crc, crc, true, false],
      [crc, xxh, true, false],
      [xxh, crc, null, null],
    ] as const) {
      const checksum = writer.of(good);
      expect([reader.verify(checksum, good), reader.verify(checksum, bad)]).toEqual([ofGood, ofBad]);
    }
    expect([xxh.verify("md5:00", good), crc.verify("undefined", good)]).toEqual([false, false]);
  });
});
