import { describe, expect, it } from "vitest";
import { testEnvironment } from "./memory-store.fixture";
import { openModelFiles } from "./model-files";
import { jsonFile, pickedFiles, rejection } from "./test-files";
import { serveFiles, startTestServer } from "./test-server";

const HTML = "<!doctype html><title>The app</title>";
const DIGITS = Uint8Array.from({ length: 100 }, (_, index) => index);

const openUrl = (url: string) => openModelFiles({ kind: "url", url, cache: false }, testEnvironment(null));
const openPicked = (files: File[]) => openModelFiles({ kind: "files", files }, testEnvironment(null));

describe("model id", () => {
  it.each([
    ["http://localhost/models/tiny-llama/", "tiny-llama"],
    ["http://localhost/my%20model/", "my model"],
    ["https://hub.example/owner/name/resolve/main/", "name"],
    ["http://localhost:81/", "localhost:81"],
  ])("of %s is %s", (url, modelId) => {
    expect(openUrl(url).modelId).toBe(modelId);
  });

  it.each(["models/tiny/", "http://localhost/tiny"])("refuses %s", (url) => {
    expect(() => openUrl(url)).toThrowError(expect.objectContaining({ code: "invalid_request" }));
  });

  it("of a folder is its name", () => {
    expect(openPicked([pickedFile("tiny/config.json")]).modelId).toBe("tiny");
    expect(openPicked([new File([], "config.json")]).modelId).toBe("local-model");
  });
});

/** A file as a folder picker gives it, with its path as content. */
function pickedFile(path: string): File {
  const file = new File([JSON.stringify(path)], path.split("/").at(-1)!);
  Object.defineProperty(file, "webkitRelativePath", { value: path });
  return file;
}

describe("picked files", () => {
  it("are found by name in any folder, the shallowest first", async () => {
    const paths = ["m/original/config.json", "m/config.json", "m/x/config.json", "m/x/only.json"];
    const files = openPicked(paths.map(pickedFile));
    expect(await files.readJson("config.json")).toBe("m/config.json");
    expect(await files.readJson("only.json")).toBe("m/x/only.json");
  });

  it("say what is missing and what is not JSON", async () => {
    const files = pickedFiles({ "config.json": new TextEncoder().encode("{") });
    expect(await rejection(files.readJson("tokenizer.json"))).toEqual({
      code: "model_file_missing",
      data: { file: "tokenizer.json" },
    });
    expect(await files.readJson("tokenizer.json", { optional: true })).toBe(null);
    const broken = await rejection(files.readJson("config.json", { optional: true, invalidCode: "invalid_tokenizer" }));
    expect(broken).toEqual({ code: "invalid_tokenizer", data: { file: "config.json", reason: expect.any(String) } });
  });

  it("give ranges and streams", async () => {
    const files = pickedFiles({ data: DIGITS });
    const { bytes, fileBytes } = await files.readRange("data", { start: 95, end: 105 });
    expect([[...bytes], fileBytes]).toEqual([[95, 96, 97, 98, 99], 100]);
    const { size, body } = await files.stream("data");
    expect([size, (await new Response(body as BodyInit).bytes()).length]).toEqual([100, 100]);
  });
});

describe("URL", () => {
  const served = { "config.json": jsonFile({ a: 1 }), data: DIGITS };

  it("reads files below the base URL", async () => {
    await using server = await startTestServer(serveFiles(served));
    const files = openUrl(server.url);
    expect(await files.readJson("config.json")).toEqual({ a: 1 });
    expect(await rejection(files.readText("../a b.json"))).toMatchObject({ code: "model_file_missing" });
    expect(server.requests.map(({ path }) => path)).toEqual(["/models/tiny/config.json"]);
  });

  it.each([403, 404, 410])("reports status %d as a missing file", async (status) => {
    await using server = await startTestServer((_, response) => response.writeHead(status).end("gone"));
    const files = openUrl(server.url);
    expect(await rejection(files.readJson("config.json"))).toEqual({
      code: "model_file_missing",
      data: { file: "config.json", status },
    });
    expect(await files.readJson("config.json", { optional: true })).toBe(null);
  });

  it.each([401, 500])("reports status %d as a failed transfer, of an optional file too", async (status) => {
    await using server = await startTestServer((_, response) => response.writeHead(status).end("no"));
    const read = openUrl(server.url).readJson("config.json", { optional: true });
    expect(await rejection(read)).toEqual({ code: "network", data: { file: "config.json", status } });
  });

  it("takes a page in place of a file for a missing file", async () => {
    await using server = await startTestServer((_, response) =>
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(HTML),
    );
    const files = openUrl(server.url);
    const missing = { code: "model_file_missing", data: { file: "config.json", status: 200 } };
    expect(await rejection(files.readJson("config.json"))).toEqual(missing);
    expect(await rejection(files.readRange("config.json", { start: 0, end: 8 }))).toEqual(missing);
    expect(await files.readText("chat_template.jinja", { optional: true })).toBe(null);
  });

  it("reports a server that is not there", async () => {
    const server = await startTestServer(serveFiles({}));
    await server[Symbol.asyncDispose]();
    const error = await rejection(openUrl(server.url).readJson("config.json", { optional: true }));
    expect(error).toEqual({ code: "network", data: { file: "config.json", reason: expect.any(String) } });
  });

  it("reports a connection that breaks in the middle of a body", async () => {
    await using server = await startTestServer((_, response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write(DIGITS.subarray(0, 50), () => response.destroy());
    });
    const files = openUrl(server.url);
    expect(await rejection(files.readText("data"))).toMatchObject({ code: "network", data: { file: "data" } });
    expect(await rejection(files.readRange("data", { start: 0, end: 60 }))).toMatchObject({ code: "network" });
  });

  const bytes = [40, 41, 42];
  it.each([
    [{}, { bytes, fileBytes: 100 }],
    [{ hideSize: true }, { bytes, fileBytes: null }],
    [{ ignoreRanges: true }, { bytes, fileBytes: 100 }],
    [
      { ignoreRanges: true, hideSize: true },
      { bytes, fileBytes: null },
    ],
  ])("reads a range from a server with %j", async (options, expected) => {
    await using server = await startTestServer(serveFiles(served, options));
    const read = await openUrl(server.url).readRange("data", { start: 40, end: 43 });
    expect({ ...read, bytes: [...read.bytes] }).toEqual(expected);
    expect(server.requests[0].range).toBe("bytes=40-42");
  });

  it.each([{}, { ignoreRanges: true }])("reads nothing past the end from a server with %j", async (options) => {
    await using server = await startTestServer(serveFiles(served, options));
    const { bytes } = await openUrl(server.url).readRange("data", { start: 100, end: 110 });
    expect([...bytes]).toEqual([]);
  });

  it("stops the transfer of a file that is sent whole", async () => {
    let closed: () => void;
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve;
    });
    await using server = await startTestServer((_, response) => {
      response.on("close", () => closed());
      response.writeHead(200).write(DIGITS);
    });
    const { bytes } = await openUrl(server.url).readRange("data", { start: 0, end: 8 });
    expect(bytes.length).toBe(8);
    await isClosed;
  });
});

describe("abort", () => {
  const aborted = { code: "aborted", data: {} };

  it("before a read", async () => {
    const signal = AbortSignal.abort();
    const files = pickedFiles({ data: DIGITS });
    expect(await rejection(files.readText("data", { signal }))).toEqual(aborted);
    await using server = await startTestServer(serveFiles({ data: DIGITS }));
    expect(await rejection(openUrl(server.url).stream("data", { signal }))).toEqual(aborted);
    expect(server.requests).toEqual([]);
  });

  it("while the server is silent, and in the middle of a body", async () => {
    const controller = new AbortController();
    await using server = await startTestServer((request, response) => {
      if (request.url?.endsWith("body")) response.writeHead(200).write(DIGITS);
      setTimeout(() => controller.abort(), 10);
    });
    const files = openUrl(server.url);
    const reads = ["silent", "body"].map((file) => rejection(files.readText(file, { signal: controller.signal })));
    expect(await Promise.all(reads)).toEqual([aborted, aborted]);
  });
});
