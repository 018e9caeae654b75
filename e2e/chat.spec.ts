import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { ROOT } from "../scripts/project.mjs";
import { inspect } from "./inspect-page";
import { expect, test } from "./test";

const EMBEDDED_MODEL = join(ROOT, "public/models/cairn-stories-3M");

/** The chat with its model loaded. */
async function openChat(page: Page): Promise<void> {
  await page.goto("/");
  await expect(page.getByRole("list", { name: "Ways to begin" })).toBeVisible();
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

test("the embedded model loads, and answers starters and a question after them", async ({ page, pageErrors }, info) => {
  await openChat(page);
  await expect(page.getByRole("list", { name: "Model" })).toContainText("cairn-stories-3M");
  await expect(page.getByRole("list", { name: "Model" })).toContainText("1,024 tokens of context");
  await expect(page.getByRole("list", { name: "Model" })).toContainText("swiftshader, in software");
  await inspect(page, info, "ready");

  await setTemperatureZero(page);
  await page.getByRole("button", { name: "Read two stories" }).click();
  await expect(page.getByRole("list", { name: "Numbers of this answer" })).toContainText("tokens/s");
  await expect(page.locator(".answer")).toContainText("Zoe wanted to learn to bake bread.");
  await expect(page.locator(".prompt")).toContainText("What did Zoe want to learn?");
  await expect(page.locator(".prompt")).not.toContainText("Then she met a fox named Lily.");
  await page.getByRole("button", { name: /Show all [\d,]+ characters/ }).click();
  await expect(page.locator(".prompt")).toContainText("Then she met a fox named Lily.");

  await page.getByRole("button", { name: "New chat" }).click();
  await expect(page.locator(".turn")).toHaveCount(0);
  await expect(page.getByLabel("Message")).toBeFocused();
  await ask(page, "What is three plus four?");
  await expect(page.locator(".answer")).toContainText("Three plus four is seven.");
  await expect(page.getByRole("list", { name: "Numbers of this answer" })).toHaveCount(1);
  await inspect(page, info, "answered");
  expect(pageErrors).toEqual([]);
});

test("stop keeps what was said, and the chat goes on beside the KV cache's table", async ({
  page,
  pageErrors,
}, info) => {
  await openChat(page);
  await page.getByRole("button", { name: "KV cache" }).click();
  await expect(page.getByRole("row", { name: "Computed 0", exact: true })).toBeVisible();
  await setTemperatureZero(page);
  await ask(page, "Tell me a story about a robot named Ruby.");
  await expect(page.locator(".answer")).toContainText("robot");
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.getByRole("list", { name: "Numbers of this answer" })).toContainText("Stopped");
  await expect(page.getByLabel("Message")).toBeFocused();
  await expect.poll(() => kvNumber(page, "Computed")).toBeGreaterThan(0);
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
  expect(pageErrors).toEqual([]);
});

test("new lines, settings out of range, and a full context with a new chat as the way out", async ({ page }, info) => {
  await openChat(page);
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
});

test("a wrong folder is a readable error with a way back, a right one is opened", async ({ page }, info) => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-chat-"));
  try {
    writeFileSync(join(folder, "notes.txt"), "no model here");
    // While the embedded model still loads: that load is given up.
    await page.goto("/");
    await page.getByLabel("Model folder", { exact: true }).setInputFiles(folder);
    await expect(page.getByRole("alert")).toContainText("A file of the model is missing");
    await expect(page.getByRole("alert")).toContainText("config.json");
    await inspect(page, info, "wrong-folder");
    await page.getByRole("button", { name: "Back to the embedded model" }).click();
    await expect(page.getByRole("list", { name: "Ways to begin" })).toBeVisible();

    await page.getByLabel("Model folder", { exact: true }).setInputFiles(EMBEDDED_MODEL);
    await expect(page.getByRole("heading", { name: "cairn-stories-3M is ready" })).toBeVisible();
    await setTemperatureZero(page);
    await ask(page, "What is three plus four?");
    await expect(page.locator(".answer")).toContainText("Three plus four is seven.");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("without WebGPU the page says so, and what to do", async ({ page, pageErrors }, info) => {
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "gpu", { value: undefined }));
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "This browser has no WebGPU" })).toBeVisible();
  await expect(page.getByRole("heading", { name: "What you can do" })).toBeVisible();
  await inspect(page, info, "no-webgpu");
  expect(pageErrors).toEqual([]);
});
