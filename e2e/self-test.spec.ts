import type { Page } from "@playwright/test";
import { expect, test } from "./test";

/** Starts an engine as a page does that says nothing about it, and lets it go. */
async function startEngine(page: Page): Promise<{ warnings: readonly string[]; ms: number }> {
  return page.evaluate(async () => {
    const packageUrl = "/dist/index.js";
    const { createEngine }: typeof import("../src/index") = await import(packageUrl);
    const begin = performance.now();
    const engine = await createEngine({ model: "/models/cairn-stories-3M/", engine: { useGemvUpToTokens: 1 } });
    const ms = performance.now() - begin;
    const { warnings } = engine.info;
    await engine.dispose();
    return { warnings, ms };
  });
}

test("the self-test is loaded and passes at the first start on a device, and is not even loaded at the second", async ({
  page,
  site,
}) => {
  const parts: string[] = [];
  page.on("request", (request) => {
    const part = /\/part-[\w-]+\.js$/.exec(request.url());
    if (part) parts.push(part[0]);
  });
  await page.goto(`${site.url}/fixtures/blank.html`);
  const first = await startEngine(page);
  expect(first.warnings).toEqual([]);
  expect(parts).toEqual(["/part-self-test.js"]);

  // What was imported once would not be asked for again.
  await page.reload();
  const second = await startEngine(page);
  expect(second.warnings).toEqual([]);
  expect(parts).toEqual(["/part-self-test.js"]);
  console.log(`First start: ${(first.ms / 1000).toFixed(1)} s, second: ${(second.ms / 1000).toFixed(1)} s.`);
});
