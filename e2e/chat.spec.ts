import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page, TestInfo } from "@playwright/test";
import { ROOT } from "../scripts/project.mjs";
import { inspect } from "./inspect-page";
import { expect, test } from "./test";

const EMBEDDED_MODEL = join(ROOT, "public/models/cairn-stories-3M");

/** Opens the chat, where the embedded model's load stands still before anything compiles, until `release`. */
async function openWhileLoading(page: Page): Promise<{ release(): Promise<void> }> {
  const held = `**/models/cairn-stories-3M/config.json`;
  await page.route(held, () => {});
  const isHeld = page.waitForRequest(held);
  await page.goto("/");
  await isHeld;
  return { release: () => page.unroute(held) };
}

const chooseFolder = (page: Page, folder: string) =>
  page.getByLabel("Model folder", { exact: true }).setInputFiles(folder);

/** The names of the lazy parts that the page asks for from now on. */
function watchParts(page: Page): string[] {
  const parts: string[] = [];
  page.on("request", (request) => {
    const [, part] = /-part-(.+)-[\w-]{8}\.js$/.exec(request.url()) ?? [];
    if (part) parts.push(part);
  });
  return parts;
}

async function setTemperatureZero(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Temperature").fill("0");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
}

/** The number in a row of the KV cache's table, which is open. */
async function kvNumber(page: Page, label: string): Promise<number> {
  const value = await page.getByRole("row", { name: label }).getByRole("cell").textContent();
  return Number(value?.replaceAll(",", ""));
}

async function ask(page: Page, question: string): Promise<void> {
  await page.getByLabel("Message").fill(question);
  await page.getByLabel("Message").press("Enter");
}

/** One page for all of it, as an engine's start takes a software adapter long. */
test("the chat, with the embedded model and with a folder's", async ({ page, pageErrors }, info) => {
  test.setTimeout(600_000);
  const parts = watchParts(page);
  await test.step("a wrong folder is a readable error with a way back", () => recoversFromWrongFolder(page, info));
  await test.step("at the first start on a device the self-test is loaded, and passes", async () => {
    await expect(page.getByRole("list", { name: "Warnings" })).toHaveCount(0);
    expect(parts.toSorted()).toEqual(["download", "self-test", "storage"]);
  });
  await test.step("starters are answered, and a question after them", () => answersStarters(page, info));
  await test.step("stop keeps what was said, and the chat goes on", () => stopsAndGoesOn(page, info));
  await test.step("new lines, settings out of range, and a full context with a new chat as the way out", () =>
    staysInRange(page, info));
  expect(pageErrors).toEqual([]);

  // What was imported once would not be asked for again.
  await openWhileLoading(page);
  parts.length = 0;
  await test.step("a right folder is opened, and no self-test loaded", () => opensFolder(page));
  expect(parts).toEqual(["storage"]);
});

async function recoversFromWrongFolder(page: Page, info: TestInfo): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-chat-"));
  try {
    writeFileSync(join(folder, "notes.txt"), "no model here");
    // While the embedded model still loads: that load is given up.
    const { release } = await openWhileLoading(page);
    await chooseFolder(page, folder);
    await expect(page.getByRole("alert")).toContainText("A file of the model is missing");
    await expect(page.getByRole("alert")).toContainText("config.json");
    await inspect(page, info, "wrong-folder");
    await release();
    await page.getByRole("button", { name: "Back to the embedded model" }).click();
    await expect(page.getByRole("list", { name: "Ways to begin" })).toBeVisible();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function answersStarters(page: Page, info: TestInfo): Promise<void> {
  await expect(page.getByRole("list", { name: "Model" })).toContainText("cairn-stories-3M");
  await expect(page.getByRole("list", { name: "Model" })).toContainText("1,024 tokens of context");
  await expect(page.getByRole("list", { name: "Model" })).toContainText("swiftshader, in software");
  await inspect(page, info, "ready");
  await page.getByRole("button", { name: "KV cache" }).click();
  await expect(page.getByRole("row", { name: "Computed 0", exact: true })).toBeVisible();

  await setTemperatureZero(page);
  await page.getByRole("button", { name: "Read two stories" }).click();
  await expect(page.getByRole("list", { name: "Numbers of this answer" })).toContainText("tokens/s");
  await expect(page.locator(".answer")).toContainText("Zoe wanted to learn to bake bread.");
  await expect(page.locator(".prompt")).toContainText("What did Zoe want to learn?");
  await expect(page.locator(".prompt")).not.toContainText("Then she met a fox named Lily.");
  await page.getByRole("button", { name: /Show all [\d,]+ characters/ }).click();
  await expect(page.locator(".prompt")).toContainText("Then she met a fox named Lily.");
  await expect.poll(() => kvNumber(page, "Computed")).toBeGreaterThan(0);

  await page.getByRole("button", { name: "New chat" }).click();
  await expect(page.locator(".turn")).toHaveCount(0);
  await expect(page.getByLabel("Message")).toBeFocused();
  await ask(page, "What is three plus four?");
  await expect(page.locator(".answer")).toContainText("Three plus four is seven.");
  await expect(page.getByRole("list", { name: "Numbers of this answer" })).toHaveCount(1);
  await inspect(page, info, "answered");
}

/** The KV cache's table is open. */
async function stopsAndGoesOn(page: Page, info: TestInfo): Promise<void> {
  await page.getByRole("button", { name: "New chat" }).click();
  await ask(page, "Tell me a story about a robot named Ruby.");
  await expect(page.locator(".answer")).toContainText("robot");
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.getByRole("list", { name: "Numbers of this answer" })).toContainText("Stopped");
  await expect(page.getByLabel("Message")).toBeFocused();
  await inspect(page, info, "stopped");

  await ask(page, "What was the robot called?");
  await expect(page.getByRole("list", { name: "Numbers of this answer" })).toHaveCount(2);
  await expect(page.locator(".answer").last()).toContainText("Ruby");
  await expect.poll(() => kvNumber(page, "Found on the GPU")).toBeGreaterThan(0);
  await expect.poll(() => kvNumber(page, "Cached")).toBeGreaterThan(0);

  await expect(page.getByRole("list", { name: "Numbers of this answer" }).last()).toContainText("on the GPU");
  await expect(page.getByRole("row", { name: "State ready" })).toBeVisible();
  await page.getByRole("button", { name: "Clear storage" }).click();
  await expect(page.getByRole("row", { name: "Durable, this model 0.0 MB" })).toBeVisible();
  expect(await kvNumber(page, "Cached")).toBeGreaterThan(0);
  await page.getByRole("button", { name: "Clear all" }).click();
  await expect.poll(() => kvNumber(page, "Cached")).toBe(0);
  await page.getByRole("button", { name: "KV cache" }).click();
  await expect(page.getByRole("table", { name: "KV cache" })).toHaveCount(0);
}

async function staysInRange(page: Page, info: TestInfo): Promise<void> {
  await page.getByRole("button", { name: "New chat" }).click();
  const message = page.getByLabel("Message");
  await message.fill("one");
  await message.press("Shift+Enter");
  await message.pressSequentially("two");
  await expect(message).toHaveValue("one\ntwo");
  await expect(page.locator(".turn")).toHaveCount(0);

  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Temperature").fill("3");
  await expect(page.getByLabel("Temperature")).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByRole("dialog")).toContainText("Not in range; the last good value stays in use");
  await inspect(page, info, "settings");
  await page.keyboard.press("Escape");

  await ask(page, "a very long question ".repeat(400));
  await expect(page.getByRole("alert")).toContainText("The conversation no longer fits");
  await inspect(page, info, "context-full");
  await page.getByRole("alert").getByRole("button", { name: "New chat" }).click();
  await expect(page.getByRole("list", { name: "Ways to begin" })).toBeVisible();
}

async function opensFolder(page: Page): Promise<void> {
  await chooseFolder(page, EMBEDDED_MODEL);
  await expect(page.getByRole("heading", { name: "cairn-stories-3M is ready" })).toBeVisible();
  await setTemperatureZero(page);
  await ask(page, "What is three plus four?");
  await expect(page.locator(".answer")).toContainText("Three plus four is seven.");
}

test("without WebGPU the page says so, and what to do", async ({ page, pageErrors }, info) => {
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "gpu", { value: undefined }));
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "This browser has no WebGPU" })).toBeVisible();
  await expect(page.getByRole("heading", { name: "What you can do" })).toBeVisible();
  await inspect(page, info, "no-webgpu");
  expect(pageErrors).toEqual([]);
});
