import type { Page } from "@playwright/test";
import type { KvStats, TokensByTier } from "../src/index";
import { expect, test } from "./test";

declare global {
  var cairn: typeof import("../src/index");
  var engine: import("../src/index").CairnEngine;
}

/** With KV in f32. */
const CHUNK_BYTES = 32_768;
const CHUNK_TOKENS = 32;
const MAX_CHUNKS = 24;
const NOWHERE = { gpu: 0, host: 0, storage: 0 };

const STORY =
  "there was a girl who had a red ball and a small dog. Every day she went to the park with the dog and threw the ball. " +
  "One day the ball rolled under a big tree, and the dog could not find it. The girl looked and looked.";

interface Answer {
  readonly tokenIds: readonly number[];
  readonly promptTokens: number;
  readonly found: TokensByTier;
}

async function start(page: Page, siteUrl: string): Promise<void> {
  await page.goto(`${siteUrl}/fixtures/blank.html`);
  await page.evaluate(async (storageBytes) => {
    const packageUrl = "/dist/index.js";
    globalThis.cairn = await import(packageUrl);
    globalThis.engine = await cairn.createEngine({
      model: "/short-model/",
      cache: false,
      namespace: "tabs",
      kvDtype: "f32",
      engine: { loadPolicy: "always", useSelfTest: false, useGemvUpToTokens: 1, storageBytes },
    });
  }, MAX_CHUNKS * CHUNK_BYTES);
  await expect.poll(() => storage(page)).toMatchObject({ state: "ready" });
}

/** The beginning decides: texts that begin differently share no chunk. */
function ask(page: Page, beginning: string): Promise<Answer> {
  return page.evaluate(async (prompt) => {
    const options = { max_tokens: 16, temperature: 0, return_token_ids: true } as const;
    const { choices, usage } = await engine.completions.create({ prompt, ...options });
    return {
      tokenIds: choices[0].token_ids ?? [],
      promptTokens: usage.prompt_tokens,
      found: usage.prompt_tokens_details.cached_tokens_by_tier,
    };
  }, `${beginning} ${STORY}`);
}

const storage = async (page: Page): Promise<KvStats["storage"]> => {
  return page.evaluate(async () => (await engine.kv.stats()).storage);
};
const flush = (page: Page): Promise<void> => page.evaluate(() => engine.kv.flush());

/** Those that are there, whoever wrote them; their bytes are in the file. */
async function numRecords(page: Page): Promise<number> {
  const records = await page.evaluate(async () => {
    const promised = <T>(request: IDBRequest<T>) =>
      new Promise<T>((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const db = await promised(indexedDB.open("cairn-kv"));
    const rows: { bytes: unknown }[] = await promised(db.transaction("blocks").objectStore("blocks").getAll());
    db.close();
    return rows.map(({ bytes }) => bytes);
  });
  expect(records.every((bytes) => bytes === null)).toBe(true);
  return records.length;
}

/** Tabs that hold, and that wait for, the lock of the one that leads. */
function locks(page: Page): Promise<readonly number[]> {
  return page.evaluate(async () => {
    const { held = [], pending = [] } = await navigator.locks.query();
    return [held, pending].map((all) => all.filter(({ name }) => name?.startsWith("cairn-kv/")).length);
  });
}

/** All that was to be written is, and each page knows of all that is there. */
async function agree(...pages: Page[]): Promise<number> {
  for (const page of pages) await flush(page);
  const count = await numRecords(pages[0]);
  for (const page of pages) {
    const expected = { numChunks: count, usedBytes: count * CHUNK_BYTES, notYetDurableBytes: 0, lastFault: null };
    await expect.poll(() => storage(page)).toMatchObject(expected);
  }
  return count;
}

test("two pages over one store", async ({ context, site }) => {
  test.setTimeout(600_000);
  const [first, second] = [await context.newPage(), await context.newPage()];
  await start(first, site.url);
  await start(second, site.url);
  expect(await locks(second)).toEqual([1, 1]);

  await test.step("what one computed the other finds, without a reload", async () => {
    const computed = await ask(first, "Once");
    expect(computed.found).toEqual(NOWHERE);
    expect(await agree(first, second)).toBeGreaterThan(0);
    const found = await ask(second, "Once");
    const numStored = CHUNK_TOKENS * Math.floor((computed.promptTokens - 1) / CHUNK_TOKENS);
    expect(found).toEqual({ ...computed, found: { ...NOWHERE, storage: numStored } });
  });

  await test.step("a clear in one while the other writes: nothing of before it is left", async () => {
    const before = (await storage(first))?.numChunks ?? 0;
    const answer = ask(second, "Today");
    await expect.poll(async () => (await storage(first))?.numChunks, { intervals: [5] }).toBeGreaterThan(before);
    await first.evaluate(() => engine.kv.clear());
    await answer;
    await agree(first, second);
    await second.evaluate(() => engine.kv.clear({ tiers: ["gpu", "host"] }));
    expect((await ask(second, "Once")).found).toEqual(NOWHERE);
  });

  await test.step("the page that leads is closed: the other keeps to the cap", async () => {
    await first.close();
    await expect.poll(() => locks(second)).toEqual([1, 0]);
    const bytesWritten = async () => (await storage(second))?.bytesWrittenToday ?? 0;
    const before = await bytesWritten();
    for (const beginning of ["Yesterday", "Long ago", "In May", "At home", "One morning"]) await ask(second, beginning);
    expect(await agree(second)).toBe(MAX_CHUNKS);
    // A tab that does not lead would have left more than the cap.
    expect((await bytesWritten()) - before).toBeGreaterThan(1.125 * MAX_CHUNKS * CHUNK_BYTES);
    await second.evaluate(() => engine.dispose());
    await expect.poll(() => locks(second)).toEqual([0, 0]);
  });
});
