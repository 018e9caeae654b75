import type { Browser, Page } from "@playwright/test";
import { HEADLESS_ARGS, SOFTWARE_GPU_ARGS } from "../scripts/browser-args.mjs";
import { findBrowser } from "../scripts/find-browser.mjs";
import { expect, test } from "./test";

declare global {
  var cairn: typeof import("../src/index");
  var engine: import("../src/index").CairnEngine;
  /** Ids of the stream that runs, as they come. */
  var ids: number[];
  /** Its end: null, or what it threw. */
  var streaming: Promise<{ readonly code: string; readonly data: unknown } | null>;
}

// Without these Chromium gives a page no adapter after the second crash of the GPU process within two minutes.
const MAY_CRASH = ["--disable-domain-blocking-for-3d-apis", "--disable-gpu-process-crash-limit"];
test.use({
  launchOptions: { executablePath: findBrowser(), args: [...HEADLESS_ARGS, ...SOFTWARE_GPU_ARGS, ...MAY_CRASH] },
});

const NUM_TOKENS = 60;

test("a stream goes on when the GPU process crashes, with the ids of an undisturbed run; one crash too many ends it", async ({
  page,
  browser,
  site,
}) => {
  test.setTimeout(600_000);
  await page.goto(`${site.url}/fixtures/blank.html`);
  await page.evaluate(async () => {
    const packageUrl = "/dist/index.js";
    globalThis.cairn = await import(packageUrl);
    globalThis.engine = await cairn.createEngine({
      model: "/models/cairn-stories-3M/",
      engine: { maxDeviceLosses: 2, useSelfTest: false, useGemvUpToTokens: 1, useStorage: false },
    });
  });
  await stream(page);
  expect(await page.evaluate(() => streaming)).toBe(null);
  const undisturbed = await page.evaluate(() => ids);
  expect(undisturbed).toHaveLength(NUM_TOKENS);

  await stream(page);
  await crashAfter(page, browser, 3);
  expect(await page.evaluate(() => streaming)).toBe(null);
  expect(await page.evaluate(() => ids)).toEqual(undisturbed);
  expect(await page.evaluate(() => engine.kv.stats())).toMatchObject({ numDeviceLosses: 1 });

  await stream(page);
  await crashAfter(page, browser, 5);
  const end = await page.evaluate(() => streaming);
  expect(end).toEqual({ code: "device_lost", data: { reason: "unknown", numLosses: 2 } });
  const seen = await page.evaluate(() => ids);
  expect(seen).toEqual(undisturbed.slice(0, seen.length));
  await stream(page);
  expect(await page.evaluate(() => streaming)).toEqual(end);
});

/** Begins one. */
function stream(page: Page): Promise<void> {
  return page.evaluate((max_tokens) => {
    globalThis.ids = [];
    const run = async () => {
      const prompt = "Once there was a girl who had a red ball and a small dog.";
      const body = { prompt, max_tokens, temperature: 0, stream: true, return_token_ids: true } as const;
      for await (const { choices } of await engine.completions.create(body)) {
        ids.push(...choices.flatMap(({ token_ids }) => token_ids ?? []));
      }
      return null;
    };
    globalThis.streaming = run().catch(({ code, data }) => ({ code, data }));
  }, NUM_TOKENS);
}

/** The GPU process dies in the midst of the stream. */
async function crashAfter(page: Page, browser: Browser, numIds: number): Promise<void> {
  await page.waitForFunction((numIds) => ids.length >= numIds, numIds);
  const session = await browser.newBrowserCDPSession();
  await session.send("Browser.crashGpuProcess");
  await session.detach();
  expect(await page.evaluate(() => ids.length)).toBeLessThan(NUM_TOKENS);
}
