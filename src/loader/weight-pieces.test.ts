import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { testEnvironment } from "./memory-store.fixture";
import { type ModelFiles, openModelFiles } from "./model-files";
import { byteTensorsFile, jsonFile, pickedFiles, rejection } from "./test-files";
import { fileOf, serveFiles, startTestServer } from "./test-server";
import { readWeightMap, type WeightMap } from "./weight-map";
import { type StreamWeightsOptions, streamWeights } from "./weight-pieces";
import { hashWeights } from "./weights-hash";

const SINGLE = "model.safetensors";

const openUrl = (url: string) => openModelFiles({ kind: "url", url, cache: false }, testEnvironment(null));

/** Each piece as [tensor, first row, rows, first byte, bytes]. */
async function piecesOf(files: ModelFiles, weights: WeightMap, options: StreamWeightsOptions) {
  const pieces: [string, number, number, number, number][] = [];
  for await (const { tensor, firstRow, numRows, bytes } of streamWeights(files, weights, options)) {
    pieces.push([tensor.name, firstRow, numRows, bytes[0], bytes.length]);
  }
  return pieces;
}

describe("pieces", () => {
  const files = pickedFiles({
    [SINGLE]: byteTensorsFile({ a: [5, 4], skipped: [10], b: [3], c: [2, 3, 2], scalar: [], empty: [0, 4] }),
  });

  it("hold whole rows, in file order, and leave out what was not asked for", async () => {
    const names = new Set(["empty", "scalar", "c", "b", "a"]);
    expect(await piecesOf(files, await readWeightMap(files), { names, maxPieceBytes: 9 })).toEqual([
      ["a", 0, 2, 0, 8],
      ["a", 2, 2, 8, 8],
      ["a", 4, 1, 16, 4],
      ["b", 0, 1, 30, 3],
      ["c", 0, 4, 33, 8],
      ["c", 4, 2, 41, 4],
      ["scalar", 0, 1, 45, 1],
    ]);
  });

  it("of one row are as long as the row", async () => {
    const pieces = await piecesOf(files, await readWeightMap(files), { names: new Set(["a", "b"]), maxPieceBytes: 1 });
    expect(pieces.map((piece) => piece[4])).toEqual([4, 4, 4, 4, 4, 3]);
  });

  it("share one buffer", async () => {
    const buffers = new Set<ArrayBuffer>();
    const names = new Set(["a", "c"]);
    for await (const { bytes } of streamWeights(files, await readWeightMap(files), { names, maxPieceBytes: 9 })) {
      buffers.add(bytes.buffer);
      expect(bytes.byteOffset).toBe(0);
    }
    expect([...buffers].map((buffer) => buffer.byteLength)).toEqual([8]);
  });

  it("name a tensor that the files do not have", async () => {
    const run = piecesOf(files, await readWeightMap(files), { names: new Set(["a", "z"]) });
    expect(await rejection(run)).toEqual({ code: "tensor_missing", data: { tensor: "z" } });
  });

  it("report bytes of the wanted tensors", async () => {
    const MIB = 1024 * 1024;
    const big = pickedFiles({ [SINGLE]: byteTensorsFile({ skipped: [7], a: [3, MIB], b: [10] }) });
    const reports: [string, number, number][] = [];
    const onProgress = (...report: [string, number, number]) => void reports.push(report);
    await piecesOf(big, await readWeightMap(big), { names: new Set(["a", "b"]), maxPieceBytes: 2 * MIB, onProgress });
    const loaded = reports.map((report) => report[1]);
    expect(loaded.slice(0, -1).every((bytes, index) => bytes >= (loaded[index - 1] ?? 0) + MIB)).toBe(true);
    expect(reports.at(-1)).toEqual([SINGLE, 3 * MIB + 10, 3 * MIB + 10]);
    expect(loaded.length).toBeLessThanOrEqual(4);
  });
});

describe("files", () => {
  const shards = {
    "one.safetensors": byteTensorsFile({ a: [4, 2], b: [2] }),
    "two.safetensors": byteTensorsFile({ c: [3] }),
    "three.safetensors": byteTensorsFile({ d: [3] }),
  };
  const weight_map = { a: "one.safetensors", b: "one.safetensors", c: "two.safetensors", d: "three.safetensors" };
  const served = { ...shards, "model.safetensors.index.json": jsonFile({ weight_map }) };

  it.each([{}, { ignoreRanges: true }, { hideSize: true }])(
    "are transferred once each, by a server with %j",
    async (options) => {
      await using server = await startTestServer(serveFiles(served, options));
      const files = openUrl(server.url);
      const weights = await readWeightMap(files);
      const numHeaderRequests = server.requests.length;
      expect(await piecesOf(files, weights, { names: new Set(["c", "b", "a"]), maxPieceBytes: 4 })).toEqual([
        ["c", 0, 1, 0, 3],
        ["a", 0, 2, 0, 4],
        ["a", 2, 2, 4, 4],
        ["b", 0, 1, 8, 2],
      ]);
      expect(server.requests.slice(numHeaderRequests)).toEqual([
        { path: "/models/tiny/two.safetensors", range: undefined },
        { path: "/models/tiny/one.safetensors", range: undefined },
      ]);
    },
  );
});

describe("hashes", () => {
  const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
  const one = byteTensorsFile({ skipped: [7], a: [5, 40], "skipped too": [11], b: [3], "skipped at the end": [9000] });
  const two = byteTensorsFile({ c: [3] });
  const weight_map = {
    ...Object.fromEntries(["skipped", "a", "skipped too", "b", "skipped at the end"].map((name) => [name, "one"])),
    c: "two",
  };
  const served = { one, two, "model.safetensors.index.json": jsonFile({ weight_map }) };

  async function hashesOf(knownHash: (file: string) => string | null): Promise<Map<string, string>> {
    await using server = await startTestServer(serveFiles(served));
    const files = Object.assign(openUrl(server.url), { knownHash });
    const hashes = new Map<string, string>();
    const options = { maxPieceBytes: 64, onFileHash: (file: string, hash: string) => void hashes.set(file, hash) };
    await piecesOf(files, await readWeightMap(files), { names: new Set(["c", "a", "b"]), ...options });
    return hashes;
  }

  it("are those of whole files, headers and skipped tensors included", async () => {
    const hashes = await hashesOf(() => null);
    expect(Object.fromEntries(hashes)).toEqual({ one: sha256(one), two: sha256(two) });
    const all = sha256(`one ${sha256(one)}\ntwo ${sha256(two)}\n`).slice(0, 32);
    expect(hashWeights(hashes)).toBe(all);
    expect(hashWeights(new Map([...hashes].reverse()))).toBe(all);
  });

  it("that the source knows are not taken", async () => {
    const hashes = await hashesOf((file) => (file === "one" ? "known" : null));
    expect(Object.fromEntries(hashes)).toEqual({ one: "known", two: sha256(two) });
  });
});

describe("faults", () => {
  const file = byteTensorsFile({ a: [100, 1000], b: [10] });
  const names = new Set(["a", "b"]);

  it("a body that ends early", async () => {
    const weights = await readWeightMap(pickedFiles({ [SINGLE]: file }));
    const cut = weights.get("b")!.byteOffset + 3;
    for (const files of [pickedFiles({ [SINGLE]: file.slice(0, cut) }), pickedFiles({ [SINGLE]: file.slice(0, 5) })]) {
      expect(await rejection(piecesOf(files, weights, { names }))).toEqual({
        code: "invalid_safetensors",
        data: { file: SINGLE, reason: expect.stringContaining("it ends at byte") },
      });
    }
    await using server = await startTestServer((_, response) => response.writeHead(200).end(file.subarray(0, cut)));
    expect(await rejection(piecesOf(openUrl(server.url), weights, { names }))).toMatchObject({
      code: "invalid_safetensors",
      data: { reason: expect.stringContaining(`it ends at byte ${cut}`) },
    });
  });

  it("a connection that breaks, again and again", async () => {
    await using server = await startTestServer((request, response) => {
      if (request.headers.range?.startsWith("bytes=0-")) return serveFiles({ [SINGLE]: file })(request, response);
      response.writeHead(200, { "content-length": file.length });
      response.write(file.subarray(0, 5000), () => response.destroy());
    });
    const files = openUrl(server.url);
    const weights = await readWeightMap(files);
    expect(await rejection(piecesOf(files, weights, { names }))).toMatchObject({
      code: "network",
      data: { file: SINGLE },
    });
  });

  it("an abort between pieces, and while a body stands still", async () => {
    const files = pickedFiles({ [SINGLE]: file });
    const weights = await readWeightMap(files);
    const controller = new AbortController();
    let numPieces = 0;
    const run = async () => {
      for await (const _ of streamWeights(files, weights, { names, signal: controller.signal, maxPieceBytes: 1000 })) {
        numPieces++;
        controller.abort();
      }
    };
    expect(await rejection(run())).toEqual({ code: "aborted", data: {} });
    expect(numPieces).toBe(1);

    const stalled = new AbortController();
    await using server = await startTestServer((request, response) => {
      expect(fileOf(request)).toBe(SINGLE);
      response.writeHead(200).write(file.subarray(0, 5000));
      setTimeout(() => stalled.abort(), 10);
    });
    const stalledRun = piecesOf(openUrl(server.url), weights, { names, signal: stalled.signal });
    expect(await rejection(stalledRun)).toEqual({ code: "aborted", data: {} });
  });

  it("a caller that leaves ends the transfer", async () => {
    let closed: () => void;
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    await using server = await startTestServer((_, response) => {
      response.on("close", () => closed());
      response.writeHead(200).write(file.subarray(0, 50_000));
    });
    const weights = await readWeightMap(pickedFiles({ [SINGLE]: file }));
    for await (const piece of streamWeights(openUrl(server.url), weights, { names, maxPieceBytes: 1000 })) {
      expect(piece.firstRow).toBe(0);
      break;
    }
    await isClosed;
  });
});
