import { createHash } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import type { CairnError } from "../../util/errors";
import { FakeHub, type FakeHubOptions, REPO } from "../fake-hub.fixture";
import { MemoryRoot, testEnvironment } from "../memory-store.fixture";
import { type ModelFiles, openModelFiles } from "../model-files";
import { jsonFile, rejection } from "../test-files";
import type { CacheEnvironment } from "./cache-environment";
import type { DownloadedBytes } from "./download-progress";
import { readManifests } from "./manifest";

const WEIGHTS = "model.safetensors";
const MODEL = {
  "config.json": jsonFile({ a: 1 }),
  [WEIGHTS]: Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff),
  "model-2.safetensors": Uint8Array.from({ length: 70_000 }, (_, index) => index & 0xff),
};
const OTHER = MODEL[WEIGHTS].map((byte) => byte ^ 1);
const TOKEN = "hf_secret";
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

let hub: FakeHub;
let root: MemoryRoot;

async function start(options: Partial<FakeHubOptions> = {}): Promise<void> {
  hub = await FakeHub.start({ files: MODEL, ...options });
  root = new MemoryRoot();
}

afterEach(() => hub.close());

interface Visit extends Partial<CacheEnvironment> {
  readonly token?: string;
  readonly revision?: string;
}

/** A visit to the hub's model, with what earlier ones left in `root`. */
function visit({ token, revision = "main", ...changes }: Visit = {}): ModelFiles {
  const source = { kind: "hub", repo: REPO, endpoint: hub.endpoint, revision, token: token ?? null } as const;
  return openModelFiles(source, testEnvironment(root, changes));
}

function visitUrl(): ModelFiles {
  return openModelFiles({ kind: "url", url: `${hub.endpoint}/plain/` }, testEnvironment(root));
}

/** Of the bytes that a visit reads: comparing arrays of this length takes seconds. */
async function hashOf(files: ModelFiles, file = WEIGHTS): Promise<string> {
  return sha256(await new Response((await files.stream(file)).body as BodyInit).bytes());
}

/** All of `file` is kept now, and is what a new visit reads, without the network. */
async function expectKept(expected = MODEL[WEIGHTS], file = WEIGHTS): Promise<void> {
  expect(sha256(root.find(file)!)).toBe(sha256(expected));
  await hub.close();
  expect(await hashOf(visit(), file)).toBe(sha256(expected));
}

const rangesOf = (file: string) =>
  hub
    .seen(file)
    .filter(({ host }) => host === "cdn")
    .map(({ range }) => range ?? null);

/** Downloads until so many bytes are there, then aborts. */
async function abortAt(numBytes: number, files = visit()): Promise<void> {
  hub.inject("cdn", WEIGHTS, { holdAt: numBytes });
  const controller = new AbortController();
  const fetching = rejection(files.fetchAll([WEIGHTS], { signal: controller.signal }));
  await expect.poll(() => root.find(WEIGHTS)?.length).toBe(numBytes);
  controller.abort();
  expect(await fetching).toEqual({ code: "aborted", data: {} });
  expect(root.find(WEIGHTS)?.length).toBe(numBytes);
}

describe("a model on a hub", () => {
  it("is found by its revision, listed over several pages, and read from two hosts", async () => {
    await start({ pageSize: 1 });
    const files = visit();
    expect(files.modelId).toBe(REPO);
    expect(await files.readJson("config.json")).toEqual({ a: 1 });
    expect(await files.readText("generation_config.json", { optional: true })).toBe(null);
    const { bytes, fileBytes } = await files.readRange(WEIGHTS, { start: 256, end: 260 });
    expect([[...bytes], fileBytes]).toEqual([[1, 8, 15, 22], 300_000]);
    expect(hub.seen("/tree/").map(({ path }) => path.split("?")[1])).toEqual([
      "recursive=true",
      "recursive=true&cursor=1",
      "recursive=true&cursor=2",
    ]);
    expect(files.knownHash(WEIGHTS)).toBe(sha256(MODEL[WEIGHTS]));
    expect(files.knownHash("config.json")).toBe(sha256(MODEL["config.json"]));
    expect(files.warnings).toEqual([]);
  });

  it("is downloaded once and tells how far it is", async () => {
    await start();
    const reports: DownloadedBytes[] = [];
    const files = visit();
    await files.fetchAll([WEIGHTS, "model-2.safetensors"], { onProgress: (bytes) => reports.push(bytes) });
    expect(reports.at(-1)).toMatchObject({ loaded: 370_000, total: 370_000, bytesPerSecond: expect.any(Number) });
    expect(reports.every(({ loaded, total }) => loaded <= total && total === 370_000)).toBe(true);
    expect(await hashOf(files)).toBe(sha256(MODEL[WEIGHTS]));
    await visit().fetchAll([WEIGHTS, "model-2.safetensors"]);
    expect([...rangesOf(WEIGHTS), ...rangesOf("model-2")]).toEqual([null, null]);
    await expectKept();
  });

  it("is read without the network at the second visit, and with it is asked for its revision alone", async () => {
    await start();
    const first = visit();
    await first.readJson("config.json");
    await first.fetchAll([WEIGHTS]);
    const numRequests = hub.requests.length;
    const loadDownloader = () => Promise.reject(new Error("nothing is to be downloaded"));
    const second = visit({ loadDownloader });
    await second.readJson("config.json");
    await second.fetchAll([WEIGHTS]);
    expect(hub.requests.slice(numRequests).map(({ path }) => path)).toEqual([`/api/models/${REPO}/revision/main`]);
    await hub.close();
    const offline = visit({ loadDownloader });
    expect(await offline.readJson("config.json")).toEqual({ a: 1 });
    expect(await offline.readText("chat_template.jinja", { optional: true })).toBe(null);
    await offline.fetchAll([WEIGHTS]);
    expect(await hashOf(offline)).toBe(sha256(MODEL[WEIGHTS]));
    expect(await rejection(visit({ revision: "dev" }).readJson("config.json"))).toMatchObject({ code: "network" });
  });

  it("changed, is a new download beside the old one, which stays whole", async () => {
    await start();
    const oldHead = hub.head;
    await visit().fetchAll([WEIGHTS]);
    hub.push({ ...MODEL, [WEIGHTS]: OTHER });
    await visit().fetchAll([WEIGHTS]);
    const kept = (await readManifests(root)).map(({ manifest }) => manifest);
    expect(kept.map(({ key, isComplete }) => [key, isComplete])).toEqual([
      [`${hub.endpoint}/${REPO}@${oldHead}`, true],
      [`${hub.endpoint}/${REPO}@${hub.head}`, true],
    ]);
    await hub.close();
    const [latest, pinned] = [visit(), visit({ revision: oldHead })];
    expect([await hashOf(latest), latest.revision]).toEqual([sha256(OTHER), hub.head]);
    expect([await hashOf(pinned), pinned.revision]).toEqual([sha256(MODEL[WEIGHTS]), oldHead]);
  });

  it("changed, and only partly there, is read as it was while the network is away", async () => {
    await start();
    await visit().fetchAll([WEIGHTS]);
    hub.push({ ...MODEL, [WEIGHTS]: OTHER });
    hub.inject("cdn", WEIGHTS, { holdAt: 1000 });
    const controller = new AbortController();
    const fetching = rejection(visit().fetchAll([WEIGHTS], { signal: controller.signal }));
    await expect.poll(() => root.folders.size).toBe(2);
    controller.abort();
    await fetching;
    await visit().readJson("config.json");
    await hub.close();
    expect(await hashOf(visit())).toBe(sha256(MODEL[WEIGHTS]));
  });

  it("of which a file is cut off in the store is downloaded again", async () => {
    await start();
    await visit().fetchAll([WEIGHTS]);
    const [files] = root.folders.values();
    files.set(WEIGHTS, MODEL[WEIGHTS].slice(0, 1000));
    await visit().fetchAll([WEIGHTS]);
    await expectKept();
  });

  it("that is not there, or whose revision is not, is said to be missing", async () => {
    await start();
    const error = { code: "model_file_missing", data: { repo: REPO, revision: "nowhere", status: 404 } };
    expect(await rejection(visit({ revision: "nowhere" }).readJson("config.json"))).toEqual(error);
  });

  it("whose list goes on at another host is asked for the rest itself", async () => {
    await start({ token: TOKEN });
    const link = `<http://127.0.0.1:1/elsewhere?recursive=true&cursor=0>; rel="next"`;
    hub.inject("hub", "/tree/", { body: "[]", headers: { link, "content-type": "application/json" } });
    expect(await visit({ token: TOKEN }).readJson("config.json")).toEqual({ a: 1 });
  });

  it("names files in its list that lead elsewhere, and they are none of its files", async () => {
    await start();
    const names = ["../secret.json", "a/config.json", "/etc/passwd", "..", "~manifest.json", ".hidden"];
    hub.extraEntries = names.map((path) => ({ type: "file", path, size: 1, oid: "0" }));
    const files = visit();
    await files.readJson("config.json");
    for (const name of names) {
      expect(await rejection(files.readText(name)), name).toEqual({ code: "model_file_missing", data: { file: name } });
    }
    expect(hub.seen("/resolve/").map(({ path }) => path.split("/").at(-1))).toEqual(["config.json"]);
    const [kept] = await readManifests(root);
    expect(Object.keys(kept.manifest.list ?? {})).toEqual(Object.keys(MODEL));
  });
});

describe("a download", () => {
  it("that was aborted keeps what came, and goes on there at the next visit", async () => {
    await start();
    await abortAt(120_000);
    const reports: DownloadedBytes[] = [];
    await visit().fetchAll([WEIGHTS], { onProgress: (bytes) => reports.push(bytes) });
    expect(rangesOf(WEIGHTS)).toEqual([null, "bytes=120000-"]);
    expect(reports[0].loaded).toBeGreaterThan(120_000);
    await expectKept();
  });

  it("whose body breaks off goes on by itself", async () => {
    await start();
    hub.inject("cdn", WEIGHTS, { cutAt: 120_000 }, { cutAt: 50_000 });
    await visit().fetchAll([WEIGHTS]);
    const [first, second, third, ...more] = rangesOf(WEIGHTS);
    expect([first, more]).toEqual([null, []]);
    expect([second, third].every((range) => /^bytes=[1-9]\d*-$/.test(range ?? ""))).toBe(true);
    await expectKept();
  });

  it("from a server that ignores the range takes what is new of the whole", async () => {
    await start();
    hub.inject("cdn", WEIGHTS, { cutAt: 120_000 }, { ignoreRange: true });
    await visit().fetchAll([WEIGHTS]);
    await expectKept();
  });

  it("of which the beginning is damaged in the store is found out and fetched again", async () => {
    await start();
    await abortAt(120_000);
    root.find(WEIGHTS)!.fill(0, 1000, 1010);
    await visit().fetchAll([WEIGHTS]);
    expect(rangesOf(WEIGHTS)).toEqual([null, "bytes=120000-", null]);
    await expectKept();
  });

  it("that arrives damaged is fetched again", async () => {
    await start();
    hub.inject("cdn", WEIGHTS, { body: OTHER });
    await visit().fetchAll([WEIGHTS]);
    expect(rangesOf(WEIGHTS)).toEqual([null, null]);
    await expectKept();
  });

  it("that arrives damaged twice fails and leaves nothing", async () => {
    await start();
    hub.inject("cdn", WEIGHTS, { body: OTHER }, { body: OTHER });
    expect(await rejection(visit().fetchAll([WEIGHTS]))).toEqual({
      code: "integrity",
      data: { file: WEIGHTS, expected: sha256(MODEL[WEIGHTS]), actual: sha256(OTHER) },
    });
    expect(root.find(WEIGHTS)).toBe(undefined);
    await visit().fetchAll([WEIGHTS]);
    await expectKept();
  });

  it("that is longer than was told ends there", async () => {
    await start();
    const body = new Uint8Array(20_000_000);
    hub.inject("cdn", WEIGHTS, { body }, { body });
    const { code, data } = await rejection(visit().fetchAll([WEIGHTS]));
    expect([code, data.file, data.expected]).toEqual(["integrity", WEIGHTS, 300_000]);
    expect(data.actual).toBeLessThan(10_000_000);
  });

  it.each([
    ["a short file", [{ body: "[" }]],
    ["a long file", [{ body: "[1, 2, 3, 4]" }, { body: "[1, 2, 3, 4]" }]],
    ["a page", [{ body: "<!doc>", headers: { "content-type": "text/html" } }]],
  ])("of %s in place of config.json never enters the cache", async (_, faults) => {
    await start();
    hub.inject("hub", "/resolve/", ...faults);
    expect((await rejection(visit().readJson("config.json"))).code).toMatch(/^(network|integrity)$/);
    expect(await visit().readJson("config.json")).toEqual({ a: 1 });
    await hub.close();
    expect(await visit().readJson("config.json")).toEqual({ a: 1 });
  });

  it.each([503, 429, 500])("answered with %d is tried again", async (status) => {
    await start();
    hub.inject("cdn", WEIGHTS, { status }, { status });
    hub.inject("hub", "/revision/", { status });
    await visit().fetchAll([WEIGHTS]);
    await expectKept();
  });

  it("waits as long as Retry-After says", async () => {
    await start();
    const headers = { "retry-after": "0" };
    hub.inject("cdn", WEIGHTS, { status: 429, headers });
    // Without the header the wait would be longer than this test may take.
    await visit({ retry: { maxRetries: 1, delayMs: 600_000 } }).fetchAll([WEIGHTS]);
    await expectKept();
  });

  it("answered with 503 to the end fails, names the file, and keeps what there is", async () => {
    await start();
    await abortAt(120_000);
    hub.inject("cdn", WEIGHTS, ...new Array(4).fill({ status: 503 }));
    expect(await rejection(visit().fetchAll([WEIGHTS]))).toEqual({
      code: "network",
      data: { file: WEIGHTS, status: 503 },
    });
    await visit().fetchAll([WEIGHTS]);
    expect(rangesOf(WEIGHTS).at(-1)).toBe("bytes=120000-");
    await expectKept();
  });

  it("stops the others when one fails", async () => {
    await start();
    hub.inject("cdn", WEIGHTS, { holdAt: 120_000 });
    hub.inject("cdn", "model-2", ...new Array(4).fill({ status: 503 }));
    const fetching = visit().fetchAll([WEIGHTS, "model-2.safetensors"]);
    expect(await rejection(fetching)).toMatchObject({ code: "network", data: { file: "model-2.safetensors" } });
  });
});

describe("where there is no room", () => {
  const warning = /^The model is not kept in this browser, as there is not enough room for it/;

  it.each([
    ["at a write", 150_000, null],
    ["before it begins", Number.POSITIVE_INFINITY, 200_000],
  ])("%s, the model is read from the network, and what was stored is removed", async (_, quota, freeBytes) => {
    await start();
    root.quota = quota;
    const files = visit({ freeBytes: async () => freeBytes });
    await files.readJson("config.json");
    await files.fetchAll([WEIGHTS]);
    expect(root.folders.size).toBe(0);
    expect(await hashOf(files)).toBe(sha256(MODEL[WEIGHTS]));
    expect(await files.readJson("config.json")).toEqual({ a: 1 });
    expect(files.warnings).toEqual([expect.stringMatching(warning)]);
    expect(files.knownHash(WEIGHTS)).toBe(sha256(MODEL[WEIGHTS]));
  });

  it("for more, a model that is there as a whole stays and is used", async () => {
    await start();
    await visit().fetchAll([WEIGHTS]);
    root.quota = root.numBytes - 100;
    const files = visit();
    await files.fetchAll([WEIGHTS]);
    expect(files.warnings).toEqual([]);
    await expectKept();
  });

  it("a store that fails otherwise is left as it is, and the network serves", async () => {
    await start();
    await visit().fetchAll([WEIGHTS]);
    const openRoot = async () => ({
      list: () => root.list(),
      remove: (folder: string) => root.remove(folder),
      open: async (folder: string) => {
        const store = await root.open(folder);
        store.read = () => Promise.reject(new DOMException("gone", "NotReadableError"));
        return store;
      },
    });
    const files = visit({ openRoot });
    await files.fetchAll([WEIGHTS]);
    expect(await hashOf(files)).toBe(sha256(MODEL[WEIGHTS]));
    expect(files.warnings).toEqual([expect.stringContaining("the browser's storage failed (gone)")]);
    await expectKept();
  });

  it("a body from the network that is damaged fails before its end is used", async () => {
    await start();
    const files = visit({ openRoot: async () => null });
    await files.fetchAll([WEIGHTS]);
    hub.inject("cdn", WEIGHTS, { body: OTHER }, { cutAt: 120_000 });
    expect(await rejection(hashOf(files))).toMatchObject({ code: "integrity", data: { file: WEIGHTS } });
    expect(await hashOf(files)).toBe(sha256(MODEL[WEIGHTS]));
    expect(files.warnings).toEqual([expect.stringMatching(/keeps no files/)]);
  });
});

describe("a gated model", () => {
  it("asks for a token, and says so", async () => {
    await start({ token: TOKEN });
    expect(await rejection(visit().readJson("config.json"))).toEqual({
      code: "gated_model",
      data: { repo: REPO, status: 401, hasToken: false },
    });
  });

  it("refuses a wrong token, which no error shows", async () => {
    await start({ token: TOKEN });
    const reading = visit({ token: "hf_wrong" }).readJson("config.json");
    const error = (await reading.catch((thrown) => thrown)) as CairnError;
    expect({ code: error.code, data: error.data }).toEqual({
      code: "gated_model",
      data: { repo: REPO, status: 403, hasToken: true },
    });
    expect(JSON.stringify([error.message, error.stack, error.data])).not.toContain("hf_wrong");
  });

  it("is read with its token, which goes to the hub alone and is not kept", async () => {
    await start({ token: TOKEN });
    hub.inject("cdn", WEIGHTS, { cutAt: 120_000 });
    const files = visit({ token: TOKEN });
    await files.readJson("config.json");
    await files.fetchAll([WEIGHTS]);
    expect(await hashOf(files)).toBe(sha256(MODEL[WEIGHTS]));
    const hosts = hub.requests.map(({ host, authorization }) => `${host} ${authorization ?? "none"}`);
    expect([...new Set(hosts)].sort()).toEqual(["cdn none", `hub Bearer ${TOKEN}`]);
    expect(root.text()).not.toContain(TOKEN);
  });
});

describe("a URL", () => {
  it("is kept, and asked whether its files changed", async () => {
    await start();
    const first = visitUrl();
    await first.readJson("config.json");
    await first.fetchAll([WEIGHTS]);
    expect(first.knownHash(WEIGHTS)).toBe(sha256(MODEL[WEIGHTS]));
    const second = visitUrl();
    await second.readJson("config.json");
    await second.fetchAll([WEIGHTS]);
    expect(await hashOf(second)).toBe(sha256(MODEL[WEIGHTS]));
    const methods = hub.seen(WEIGHTS).map(({ method }) => method);
    expect(methods).toEqual(["GET", "HEAD"]);
  });

  it("that leads nowhere leaves nothing behind", async () => {
    await start();
    const files = openModelFiles({ kind: "url", url: `${hub.endpoint}/nowhere/` }, testEnvironment(root));
    expect(await rejection(files.readJson("config.json"))).toMatchObject({ code: "model_file_missing" });
    expect(await readManifests(root)).toEqual([]);
  });

  it("that changed is downloaded again", async () => {
    await start();
    await visitUrl().fetchAll([WEIGHTS]);
    hub.push({ ...MODEL, [WEIGHTS]: OTHER });
    const files = visitUrl();
    await files.fetchAll([WEIGHTS]);
    expect(await hashOf(files)).toBe(sha256(OTHER));
  });

  it("is read without the network, files that were missing included", async () => {
    await start();
    const first = visitUrl();
    await first.readJson("config.json");
    expect(await first.readText("chat_template.jinja", { optional: true })).toBe(null);
    await first.fetchAll([WEIGHTS]);
    await hub.close();
    const offline = visitUrl();
    expect(await offline.readJson("config.json")).toEqual({ a: 1 });
    expect(await offline.readText("chat_template.jinja", { optional: true })).toBe(null);
    await offline.fetchAll([WEIGHTS]);
    expect(await hashOf(offline)).toBe(sha256(MODEL[WEIGHTS]));
    expect(await rejection(offline.readText("other.json"))).toMatchObject({ code: "network" });
  });

  it("goes on after an abort only where the file is still the same", async () => {
    await start();
    for (const [files, ranges] of [
      [MODEL, [null, "bytes=100000-"]],
      [{ ...MODEL, [WEIGHTS]: OTHER }, [null, "bytes=100000-", null]],
    ] as const) {
      root = new MemoryRoot();
      hub.push(MODEL);
      hub.requests.length = 0;
      hub.inject("hub", "/plain/", { body: MODEL[WEIGHTS], holdAt: 100_000 });
      const controller = new AbortController();
      const fetching = rejection(visitUrl().fetchAll([WEIGHTS], { signal: controller.signal }));
      await expect.poll(() => root.find(WEIGHTS)?.length).toBe(100_000);
      controller.abort();
      await fetching;
      hub.push(files);
      await visitUrl().fetchAll([WEIGHTS]);
      expect(sha256(root.find(WEIGHTS)!)).toBe(sha256(files[WEIGHTS]));
      expect(hub.seen(WEIGHTS).map(({ range }) => range ?? null)).toEqual(ranges);
    }
  });

  it("is not kept where that was asked for", async () => {
    await start();
    const files = openModelFiles({ kind: "url", url: `${hub.endpoint}/plain/`, cache: false }, testEnvironment(root));
    await files.readJson("config.json");
    await files.fetchAll([WEIGHTS]);
    expect(root.folders.size).toBe(0);
    expect(files.warnings).toEqual([]);
  });
});
