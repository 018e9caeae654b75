import { expect, test } from "vitest";
import { decodeRecord, encodeRecord } from "./block-record";
import { createChecksums } from "./checksum";

const header = { parent: "p", tokenIds: [1, 23] };
const bytes = new Uint8Array([1, 2, 3, 4]).buffer;

test("a record is decoded as it was encoded", async () => {
  const checksums = await createChecksums();
  const record = encodeRecord("n/f/0/a", header, bytes, checksums);
  const expected = { key: "n/f/0/a", header, chunkBytes: 4 };
  expect(decodeRecord(structuredClone(record), expected, checksums)).toEqual(bytes);
});

test("its checksum covers all of it: each part, and where one ends", async () => {
  const checksums = await createChecksums();
  const checksumOf = (key: string, change: object = {}, buffer = bytes) =>
    encodeRecord(key, { ...header, ...change }, buffer, checksums).checksum;
  const all = [
    checksumOf("n/f/0/a"),
    checksumOf("n/f/1/a"),
    checksumOf("n/f/0/a", { parent: null }),
    checksumOf("n/f/0/a", { parent: "null" }),
    checksumOf("n/f/0/a", { tokenIds: [12, 3] }),
    checksumOf("n/f/0/a", { tokenIds: [1, 2, 3] }),
    checksumOf("n/f/0/a", {}, new Uint8Array([1, 2, 3, 5]).buffer),
    checksumOf("n/f/0/a", {}, new Uint8Array([1, 2, 3]).buffer),
  ];
  expect(new Set(all).size).toBe(all.length);
});
