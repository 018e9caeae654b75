import { describe, expect, it } from "vitest";
import { testEnvironment } from "./memory-store.fixture";
import { openModelFiles } from "./model-files";
import { readSafetensorsHeader } from "./safetensors";
import { byteTensorsFile, pickedFiles, rejection, safetensorsFile } from "./test-files";
import { serveFiles, startTestServer } from "./test-server";

const FILE = "model.safetensors";
const openUrl = (url: string) => openModelFiles({ kind: "url", url }, testEnvironment(null));
const DATA = new Uint8Array(12);
const A = { dtype: "F16", shape: [2, 2], data_offsets: [0, 8] };
const B = { dtype: "F32", shape: [1], data_offsets: [8, 12] };

const read = (bytes: Uint8Array<ArrayBuffer>) => readSafetensorsHeader(pickedFiles({ [FILE]: bytes }), FILE);

describe("a good header", () => {
  it("gives the tensors in the order of their bytes", async () => {
    const header = { b: B, __metadata__: { format: "pt" }, a: A };
    const dataStart = 8 + JSON.stringify(header).length;
    expect(await read(safetensorsFile(header, DATA))).toEqual([
      { name: "a", dtype: "F16", shape: [2, 2], file: FILE, byteOffset: dataStart, byteLength: 8 },
      { name: "b", dtype: "F32", shape: [1], file: FILE, byteOffset: dataStart + 8, byteLength: 4 },
    ]);
  });

  it("may hold scalars, empty tensors, padding and no tensor at all", async () => {
    const header = {
      scalar: { dtype: "F32", shape: [], data_offsets: [0, 4] },
      empty: { dtype: "F32", shape: [3, 0], data_offsets: [0, 0] },
      'a:"{[b': { dtype: "BF16", shape: [4], data_offsets: [4, 12] },
    };
    const tensors = await read(safetensorsFile(`${JSON.stringify(header)}    `, DATA));
    expect(tensors.map(({ name, byteLength }) => [name, byteLength])).toEqual([
      ["empty", 0],
      ["scalar", 4],
      ['a:"{[b', 8],
    ]);
    expect(await read(safetensorsFile({}, new Uint8Array(0)))).toEqual([]);
  });

  it("may hold a name of 20 million characters", async () => {
    const name = "a".repeat(20_000_000);
    const text = `{"${name}": {"dtype":"F32","shape":[3],"data_offsets":[0,12]}}`;
    expect((await read(safetensorsFile(text, DATA))).map(({ shape }) => shape)).toEqual([[3]]);
  });

  const longNames = Object.fromEntries(
    Array.from({ length: 5000 }, (_, i) => [`model.layers.${i}.${"x".repeat(60)}`, [2]]),
  );
  it.each([{}, { ignoreRanges: true }, { hideSize: true }])(
    "of any length is read from a server with %j",
    async (options) => {
      const bytes = byteTensorsFile(longNames);
      await using server = await startTestServer(serveFiles({ [FILE]: bytes }, options));
      const tensors = await readSafetensorsHeader(openUrl(server.url), FILE);
      expect([tensors.length, tensors[4999].byteOffset]).toEqual([5000, bytes.length - 2]);
      expect(server.requests.length).toBe(2);
    },
  );
});

describe("a lying header", () => {
  const withEntry = (entry: unknown) => safetensorsFile({ a: entry, b: B }, DATA);
  const good = safetensorsFile({ a: A, b: B }, DATA);
  const withLength = (length: bigint) => {
    const bytes = good.slice();
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    return bytes;
  };

  it.each([
    ["an empty file", new Uint8Array(0), "too few for a header"],
    ["half a length", good.slice(0, 5), "the file has 5 bytes"],
    ["a length beyond the file", withLength(1000n), "does not fit"],
    ["a length beyond reason", withLength(2n ** 63n), "longer than the format allows"],
    ["a length that cuts the JSON", withLength(10n), "not JSON"],
    ["a text file", new TextEncoder().encode("version https://git-lfs"), "longer than the format allows"],
    ["broken UTF-8", safetensorsFile({}, DATA).fill(0xff, 8, 9), "not JSON"],
    ["a list", safetensorsFile([], DATA), "not a JSON object"],
    ["a name twice", safetensorsFile(`{"a":${JSON.stringify(B)},"a":${JSON.stringify(B)}}`, DATA), "twice"],
    ["an entry that is no object", withEntry(null), "not an object"],
    ["a dtype that is no string", withEntry({ ...A, dtype: 16 }), "dtype is not a string"],
    ["a negative dimension", withEntry({ ...A, shape: [-2, -2] }), "shape is not"],
    ["a fractional dimension", withEntry({ ...A, shape: [1.5] }), "shape is not"],
    ["a shape that is no list", withEntry({ ...A, shape: 4 }), "shape is not"],
    ["one offset", withEntry({ ...A, data_offsets: [0] }), "data_offsets is not a pair"],
    ["a negative offset", withEntry({ ...A, data_offsets: [-8, 0] }), "data_offsets is not a pair"],
    ["offsets in the wrong order", withEntry({ ...A, data_offsets: [8, 0] }), "wrong order"],
    ["too few bytes for the shape", withEntry({ ...A, shape: [2, 3] }), "needs 12 bytes, data_offsets give 8"],
    ["a shape beyond all numbers", withEntry({ ...A, shape: [2 ** 50, 2 ** 50] }), "needs"],
    ["an overlap", safetensorsFile({ a: A, b: { ...B, data_offsets: [4, 8] } }, DATA), "overlaps"],
    ["a gap", safetensorsFile({ a: A, b: { ...B, data_offsets: [9, 13] } }, new Uint8Array(13)), "leaves a gap"],
    ["a first tensor that is not at the start", safetensorsFile({ b: B }, DATA), "leaves a gap"],
    ["missing bytes", safetensorsFile({ a: A, b: B }, new Uint8Array(11)), "the file has"],
    ["bytes of no tensor", safetensorsFile({ a: A, b: B }, new Uint8Array(13)), "the file has"],
  ])("with %s", async (_, bytes, reason) => {
    expect(await rejection(read(bytes))).toEqual({
      code: "invalid_safetensors",
      data: { file: FILE, reason: expect.stringContaining(reason) },
    });
  });

  it("with a dtype that is not known", async () => {
    const bytes = withEntry({ ...A, dtype: "Q4" });
    expect(await rejection(read(bytes))).toEqual({
      code: "unsupported_dtype",
      data: { tensor: "a", dtype: "Q4", file: FILE },
    });
  });

  it.each([{ hideSize: true }, { ignoreRanges: true, hideSize: true }])(
    "is noticed without the file's size, server with %j",
    async (options) => {
      await using server = await startTestServer(
        serveFiles({ [FILE]: withLength(1000n), empty: new Uint8Array(0) }, options),
      );
      const files = openUrl(server.url);
      expect(await rejection(readSafetensorsHeader(files, FILE))).toEqual({
        code: "invalid_safetensors",
        data: { file: FILE, reason: expect.stringContaining("inside its header of 1000 bytes") },
      });
      expect(await rejection(readSafetensorsHeader(files, "empty"))).toMatchObject({ code: "invalid_safetensors" });
    },
  );
});
