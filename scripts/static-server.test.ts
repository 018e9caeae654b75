import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type StaticServer, startStaticServer } from "./static-server.mjs";

let dir: string;
let server: StaticServer;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "cairn-static-"));
  mkdirSync(join(dir, "page"));
  mkdirSync(join(dir, "page-private"));
  writeFileSync(join(dir, "page", "index.html"), "<p>hi</p>");
  writeFileSync(join(dir, "page", "model.bin"), "0123456789");
  writeFileSync(join(dir, "secret.txt"), "secret");
  writeFileSync(join(dir, "page-private", "secret.txt"), "secret");
  server = await startStaticServer({ mounts: { "/": join(dir, "page") }, headers: { "X-Test": "yes" } });
});

afterAll(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});

test("a folder answers with its index.html, with the right type and the extra headers", async () => {
  const response = await fetch(`${server.url}/`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(response.headers.get("x-test")).toBe("yes");
  expect(await response.text()).toBe("<p>hi</p>");
});

test.each([
  ["bytes=2-4", 206, "234", "bytes 2-4/10"],
  ["bytes=7-", 206, "789", "bytes 7-9/10"],
  ["bytes=-3", 206, "789", "bytes 7-9/10"],
  ["bytes=8-99", 206, "89", "bytes 8-9/10"],
  ["bytes=10-", 416, "416\n", "bytes */10"],
  ["lines=1-2", 200, "0123456789", null],
])("range %s", async (range, status, body, contentRange) => {
  const response = await fetch(`${server.url}/model.bin`, { headers: { range } });
  expect(response.status).toBe(status);
  expect(await response.text()).toBe(body);
  expect(response.headers.get("content-range")).toBe(contentRange);
});

test.each([
  "/missing.txt",
  "/../secret.txt",
  "/%2e%2e/secret.txt",
  "/..%2fsecret.txt",
  "/..%2fpage-private/secret.txt",
  "/%00",
  "/%",
])("nothing answers at %s", async (path) => {
  expect(await rawStatus(path)).toBe(404);
});

test("only GET and HEAD are answered", async () => {
  expect((await fetch(`${server.url}/`, { method: "POST" })).status).toBe(405);
  const head = await fetch(`${server.url}/model.bin`, { method: "HEAD" });
  expect(head.headers.get("content-length")).toBe("10");
});

test("a busy port is replaced by a free one", async () => {
  const port = Number(new URL(server.url).port);
  const second = await startStaticServer({ mounts: { "/": dir }, port });
  expect(Number(new URL(second.url).port)).not.toBe(port);
  await second.close();
});

/** fetch() would normalize the path before it is sent. */
function rawStatus(path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port: new URL(server.url).port, path }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.once("error", reject);
    sent.end();
  });
}
