import { join } from "node:path";
import type { Page } from "@playwright/test";
import { build } from "vite";
import { ROOT } from "../scripts/project.mjs";
import { type StaticServer, startStaticServer } from "../scripts/static-server.mjs";
import { expect, test } from "./test";

/** Fresh shaders on a software adapter, on a machine that may be busy. */
const LOAD_TIMEOUT_MS = 240_000;

const OUT_DIR = join(ROOT, ".cache/examples");

test.describe.configure({ timeout: LOAD_TIMEOUT_MS + 60_000 });

let server: StaticServer;

test.beforeAll(async () => {
  await build({
    configFile: join(ROOT, "examples/vite.config.ts"),
    // React mounts effects twice in development only.
    define: { "process.env.NODE_ENV": JSON.stringify("development") },
    build: { outDir: OUT_DIR },
    logLevel: "error",
  });
  server = await startStaticServer({ mounts: { "/": OUT_DIR } });
});

test.afterAll(() => server?.close());

/** Counts the workers that the page itself starts and ends. */
async function watchWorkers(page: Page): Promise<() => Promise<{ started: number; ended: number }>> {
  await page.addInitScript(() => {
    const counts = { started: 0, ended: 0 };
    globalThis.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        super(url, options);
        counts.started += 1;
      }
      override terminate(): void {
        super.terminate();
        counts.ended += 1;
      }
    };
    Object.assign(globalThis, { workerCounts: counts });
  });
  return () => page.evaluate(() => Reflect.get(globalThis, "workerCounts"));
}

test("react: one engine for an effect that runs twice, a streamed answer, and no engine once the chat is closed", async ({
  page,
  pageErrors,
}) => {
  const workers = await watchWorkers(page);
  await page.goto(`${server.url}/react/`);
  // The answer is sampled, and short to most questions of this kind.
  await page.getByLabel("Message").fill("What is three plus four?", { timeout: LOAD_TIMEOUT_MS });
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.locator("[data-role=assistant]")).toHaveText(/^assistant: \w/, { timeout: LOAD_TIMEOUT_MS });
  await expect(page.getByRole("button", { name: "Send" })).toBeVisible();
  expect(await workers()).toEqual({ started: 1, ended: 0 });
  await page.getByRole("button", { name: "Close the chat" }).click();
  await expect.poll(workers).toEqual({ started: 1, ended: 1 });
  expect(pageErrors).toEqual([]);
});

test("rag: the second question computes little more than itself", async ({ page, pageErrors }) => {
  await page.goto(`${server.url}/rag/`);
  const rows = page.locator("#answers tr");
  const ask = page.getByRole("button", { name: "Ask" });
  await ask.click({ timeout: LOAD_TIMEOUT_MS });
  await expect(rows.nth(0)).toContainText("Toby lived in a park.");
  await page.getByLabel("Question").fill("What did Zoe want?");
  await ask.click();
  await expect(rows).toHaveCount(2);
  const [, , promptTokens, computed, gpu] = await rows.nth(1).locator("td").allTextContents();
  expect(Number(gpu)).toBeGreaterThan(0.8 * Number(promptTokens));
  expect(Number(computed)).toBe(Number(promptTokens) - Number(gpu));
  expect(pageErrors).toEqual([]);
});

test("ai-sdk: a text, a stream, a tool's round trip and an object", async ({ page, pageErrors }) => {
  await page.goto(`${server.url}/ai-sdk/`);
  const isOver = async () => pageErrors.length > 0 || (await page.locator("#status").textContent())?.includes("Done.");
  await expect.poll(isOver, { timeout: LOAD_TIMEOUT_MS }).toBe(true);
  expect(pageErrors).toEqual([]);
  await expect(page.locator("#text")).toHaveText("Three plus four is seven.");
  await expect(page.locator("#stream")).toHaveText("Here are four animals: sheep, turtle, duck and mouse.");
  await expect(page.locator("#tool")).toHaveText(
    /^called whereIs\(\{"animal":"(fox|robot)"\}\)\nreturned "The (fox|robot) is in the garden."/,
  );
  const object = JSON.parse((await page.locator("#object").textContent()) ?? "");
  expect(object).toEqual({
    hero: expect.any(String),
    isBrave: expect.any(Boolean),
    numFriends: expect.any(Number),
  });
  expect(pageErrors).toEqual([]);
});

test("cluster: the engine in the page answers unless its user says otherwise", async ({ page, pageErrors }) => {
  await page.goto(`${server.url}/cluster/`);
  await page.getByRole("button", { name: "Ask" }).click();
  await expect(page.locator("#answers li")).toHaveText(/^cairn-stories-3M, in this page: \w/, {
    timeout: LOAD_TIMEOUT_MS,
  });
  expect(pageErrors).toEqual([]);
});
