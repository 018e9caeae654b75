import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BrowserContext, Page } from "@playwright/test";
import { ROOT } from "../scripts/project.mjs";
import { FakeHub, REPO } from "../src/loader/fake-hub.fixture";
import type { ModelSource } from "../src/protocol/messages";
import { GOLDEN_BOUNDS, SINGLE_MODE } from "../src/testing/golden-job";
import type {} from "../src/testing/golden-page"; // window.goldenWorker
import { loadGoldenJobs } from "../src/testing/goldens";
import type {} from "../src/testing/hub-page"; // window.hubWorker
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

const MODEL_DIR = join(ROOT, "../shared/models/stories260K/hf");
const WEIGHTS = "model.safetensors";
const GOLDENS = "stories260K";

test.skip(!existsSync(MODEL_DIR), "SKIPPED: models from a hub (no ../shared/models beside the repository)");

const files: Record<string, Uint8Array> = {};
if (existsSync(MODEL_DIR)) {
  for (const name of readdirSync(MODEL_DIR)) files[name] = new Uint8Array(readFileSync(join(MODEL_DIR, name)));
}
const numWeightBytes = files[WEIGHTS]?.length ?? 0;
const FORTY_PERCENT = Math.floor(numWeightBytes * 0.4);
const rightHash = createHash("sha256")
  .update(files[WEIGHTS] ?? "")
  .digest("hex");
const loaded = { hash: rightHash, warnings: [], hasConfig: true };

/** One page for all tests: each has a hub and a browser context, and so a storage, of its own. */
let pageUrl = "";
let stopPage: () => void;
test.beforeAll(async () => {
  await new Promise<void>((resolve, reject) => {
    withTestPage("hub.html", {}, async (url) => {
      pageUrl = url;
      const stopped = new Promise<void>((stop) => {
        stopPage = stop;
      });
      resolve();
      await stopped;
    }).catch(reject);
  });
});
test.afterAll(() => stopPage?.());

let hub: FakeHub;
let source: Extract<ModelSource, { readonly kind: "hub" }>;
test.beforeEach(async () => {
  hub = await FakeHub.start({ files });
  source = { kind: "hub", repo: REPO, endpoint: hub.endpoint, revision: "main", token: null };
});
test.afterEach(() => hub?.close());

async function openTab(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  await page.goto(pageUrl);
  return page;
}

const load = (page: Page, from: Extract<ModelSource, { readonly kind: "hub" | "url" }> = source) =>
  page.evaluate((source) => window.hubWorker.load(source), from);

/** Starts to load, and waits until 40 % of the weights are on the disk and no more comes. `ended` tells how it ended. */
async function loadFortyPercent(page: Page): Promise<{ readonly ended: Promise<string> }> {
  hub.inject("cdn", WEIGHTS, { holdAt: FORTY_PERCENT });
  const ended = load(page).then(
    () => "loaded",
    (error: Error) => error.message,
  );
  await expect.poll(() => keptBytes(page)).toBeGreaterThan(FORTY_PERCENT);
  return { ended };
}

const keptBytes = (page: Page) => page.evaluate(async () => (await window.cachedModels.list())[0]?.bytes ?? 0);

const cdnRanges = () =>
  hub
    .seen(WEIGHTS)
    .filter(({ host }) => host === "cdn")
    .map(({ range }) => range ?? null);

async function expectGoldens(page: Page): Promise<void> {
  const golden = loadGoldenJobs().get(GOLDENS);
  const init = { model: source, kvDtype: "f32", engine: { useGemvUpToTokens: 1 } } as const;
  await page.evaluate((init) => window.goldenWorker.open(init), init);
  const args = { jobs: golden?.jobs.slice(0, 1) ?? [], bounds: GOLDEN_BOUNDS.f32, mode: SINGLE_MODE };
  expect(args.jobs).toHaveLength(1);
  const problems = await page.evaluate(({ jobs, bounds, mode }) => window.goldenWorker.check(jobs, bounds, mode), args);
  expect(problems).toEqual([]);
  await page.evaluate(() => window.goldenWorker.close());
}

/** Exact goldens from what is kept or served now; where that takes too long, the weights' hash stands for them. */
async function expectGoldensOrHash(page: Page): Promise<void> {
  if (process.env.CAIRN_SOAK) await expectGoldens(page);
  else expect(await load(page)).toEqual(loaded);
}

test("a tab that is killed at 40 % goes on there when it is opened again, and answers exact goldens, offline too", async ({
  context,
}) => {
  const page = await openTab(context);
  await loadFortyPercent(page);
  const cdp = await context.newCDPSession(page);
  const crashed = page.waitForEvent("crash");
  void cdp.send("Page.crash").catch(() => {});
  await crashed;
  await page.close();

  const again = await openTab(context);
  const [kept] = await again.evaluate(() => window.cachedModels.list());
  expect(kept).toMatchObject({ model: REPO, revision: hub.head, isComplete: false });
  await expectGoldens(again);
  const [, rest, ...more] = cdnRanges().filter((range) => !range?.startsWith("bytes=0-"));
  expect([rest, more]).toEqual([`bytes=${FORTY_PERCENT}-`, []]);
  const [complete] = await again.evaluate(() => window.cachedModels.list());
  expect(complete).toMatchObject({ isComplete: true, bytes: complete?.totalBytes });
  expect(complete?.bytes).toBe(Object.values(files).reduce((sum, { length }) => sum + length, 0));
  await hub.close();
  expect(await load(again)).toEqual(loaded);
  // An engine that is loaded holds nothing back.
  await again.evaluate((key) => window.cachedModels.delete(key), complete?.key ?? "");
  expect(await again.evaluate(() => window.cachedModels.list())).toEqual([]);
});

test("weights that arrive damaged are fetched again, and a redirect takes no token along", async ({ context }) => {
  await hub.close();
  hub = await FakeHub.start({ files, token: "hf_secret" });
  source = { ...source, endpoint: hub.endpoint, token: "hf_secret" };
  const page = await openTab(context);
  hub.inject("cdn", WEIGHTS, { body: new Uint8Array(numWeightBytes) });
  expect(await load(page)).toEqual(loaded);
  expect(cdnRanges()).toEqual([null, null]);
  const tokens = hub.seen("").map(({ host, authorization }) => `${host} ${authorization ?? "none"}`);
  expect([...new Set(tokens)].sort()).toEqual(["cdn none", "hub Bearer hf_secret"]);
  await expectGoldensOrHash(page);
  expect(cdnRanges()).toHaveLength(2);
});

test("two tabs at once download once", async ({ context }) => {
  const [one, two] = await Promise.all([openTab(context), openTab(context)]);
  expect(await Promise.all([load(one), load(two)])).toEqual([loaded, loaded]);
  expect(cdnRanges()).toEqual([null]);
  expect(hub.seen("config.json")).toHaveLength(1);
  await expectGoldensOrHash(two);
});

test("a model is not deleted while it is loaded; aborted, it keeps what came until it is deleted", async ({
  context,
}) => {
  const [loading, other] = await Promise.all([openTab(context), openTab(context)]);
  const { ended } = await loadFortyPercent(loading);
  const deletion = (key: string) =>
    other.evaluate(
      (key) =>
        window.cachedModels.delete(key).then(
          () => "deleted",
          ({ code, data }) => ({ code, data }),
        ),
      key,
    );
  const key = `${hub.endpoint}/${REPO}@${hub.head}`;
  expect(await deletion(key)).toEqual({ code: "busy", data: { key } });
  await loading.evaluate(() => window.hubWorker.abort());
  expect(await ended).toContain("aborted");
  expect(await load(loading)).toEqual(loaded);
  expect(cdnRanges()).toEqual([null, `bytes=${FORTY_PERCENT}-`]);
  expect(await deletion(key)).toBe("deleted");
  expect(await other.evaluate(() => window.cachedModels.list())).toEqual([]);
  expect(await deletion(key)).toEqual({ code: "invalid_request", data: { param: "key" } });
  await expectGoldensOrHash(loading);
  expect(cdnRanges().filter((range) => range === null)).toHaveLength(2);
});

test("without room the model runs from the network, says so, and leaves nothing", async ({ context }) => {
  const page = await openTab(context);
  const cdp = await context.newCDPSession(page);
  const quotaSize = Math.floor(numWeightBytes / 2);
  await cdp.send("Storage.overrideQuotaForOrigin", { origin: new URL(pageUrl).origin, quotaSize });
  const warnings = [expect.stringContaining("there is not enough room for it")];
  // The browser tells another quota to pages, so it is the write that fails.
  const folder = { kind: "url", url: `${hub.endpoint}/plain/` } as const;
  for (const from of [source, folder]) {
    expect(await load(page, from)).toEqual({ ...loaded, warnings });
    expect(await page.evaluate(() => window.cachedModels.list())).toEqual([]);
  }
  if (process.env.CAIRN_SOAK) await expectGoldens(page);
});

test("a directory handle is read in place; OPFS and the Cache API keep what the store's interface promises", async ({
  context,
}) => {
  const page = await openTab(context);
  expect(await page.evaluate(() => window.hubWorker.checkStores())).toEqual({ opfs: [], cacheApi: [] });
  const cached = await page.evaluate((source) => window.hubWorker.load(source, { useCacheApi: true }), source);
  expect(cached).toEqual(loaded);
  expect(await page.evaluate(() => window.cachedModels.list())).toMatchObject([{ model: REPO, isComplete: true }]);
  const read = await page.evaluate(async (url) => {
    const directory = await (await navigator.storage.getDirectory()).getDirectoryHandle("mine", { create: true });
    for (const name of ["config.json", "model.safetensors"]) {
      const writable = await (await directory.getFileHandle(name, { create: true })).createWritable();
      await (await fetch(url + name)).body?.pipeTo(writable);
    }
    return window.hubWorker.load({ kind: "directory", directory });
  }, `${hub.endpoint}/plain/`);
  expect(read).toEqual(loaded);
});
