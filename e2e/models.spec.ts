import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../scripts/project.mjs";
import { FakeHub, REPO } from "../src/loader/fake-hub.fixture";
import { inspect } from "./inspect-page";
import { expect, test } from "./test";

const MODEL = join(ROOT, "public/models/cairn-stories-3M");
const TOKEN = "hf_secret";
const WEIGHTS = "model.safetensors";
/** Where the first download stands still, in bytes. */
const HELD_AT = 4_000_000;

function modelFiles(): Record<string, Uint8Array> {
  return Object.fromEntries(readdirSync(MODEL).map((file) => [file, new Uint8Array(readFileSync(join(MODEL, file)))]));
}

test("a gated model of a hub: planned, downloaded with a pause, asked, kept, deleted", async ({
  page,
  pageErrors,
}, info) => {
  await using hub = await FakeHub.start({ files: modelFiles(), token: TOKEN });
  const picker = page.getByRole("dialog", { name: "Models" });
  const row = picker.getByRole("listitem").filter({ hasText: REPO });

  // While the embedded model still loads, before anything compiles: that load is given up in the end.
  await page.route("**/models/cairn-stories-3M/config.json", () => {});
  await page.goto("/");
  await page.getByRole("button", { name: "Models" }).click();
  await expect(picker.getByText("Files come from huggingface.co")).toBeVisible();
  await expect(picker.getByRole("button", { name: /^Choose: / })).not.toHaveCount(0);
  await picker.getByText("Hub address and access token").click();
  await picker.getByLabel("Hub address").fill(hub.endpoint);
  await picker.getByLabel("Any other model").fill("no model");
  await picker.getByLabel("Any other model").press("Enter");
  await expect(picker.getByText("This is neither an id")).toBeVisible();
  expect(hub.requests).toEqual([]);
  await inspect(page, info, "lists");
  await picker.getByLabel("Any other model").fill(REPO);
  await picker.getByLabel("Any other model").press("Enter");

  const plan = page.getByRole("dialog", { name: REPO });
  await expect(plan.getByText("The hub does not hand out this model")).toBeVisible();
  await plan.getByLabel("Access token").fill(TOKEN);
  await plan.getByLabel("Access token").press("Enter");
  await expect(plan.getByRole("heading", { name: "It fits" })).toBeVisible();
  await expect(plan.getByRole("row", { name: "Context that is set up" })).toContainText("1,024 tokens");
  await plan.getByRole("radio", { name: "8 bits" }).check();
  await expect(plan.getByRole("row", { name: "weights" })).not.toContainText("6.6 MB");
  await expect(plan.getByRole("heading", { name: "It fits" })).toBeVisible();
  expect(hub.seen(WEIGHTS).every(({ range }) => range !== undefined)).toBe(true);
  await inspect(page, info, "plan");

  // The header is read once more; then the download comes to stand still.
  hub.inject("cdn", WEIGHTS, {}, { holdAt: HELD_AT });
  await plan.getByRole("button", { name: /^Download [\d.]+ MB and open$/ }).click();
  await expect(page.locator(".load-numbers")).toContainText(/^[1-9]/);
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("heading", { name: "tiny is paused" })).toBeVisible();
  await page.getByRole("button", { name: "Choose another model" }).click();
  await expect(row).toContainText("not finished");
  await page.keyboard.press("Escape");

  const numRequests = hub.seen(WEIGHTS).length;
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByRole("heading", { name: "tiny is ready" })).toBeVisible();
  const starts = hub
    .seen(WEIGHTS)
    .slice(numRequests)
    .map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
  expect(Math.max(...starts.filter((start) => start > 0))).toBeGreaterThan(0);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Temperature").fill("0");
  await page.keyboard.press("Escape");
  await page.getByLabel("Message").fill("What is three plus four?");
  await page.getByLabel("Message").press("Enter");
  await expect(page.locator(".answer")).toContainText("Three plus four is seven.");

  await page.getByRole("button", { name: "Models" }).click();
  await expect(row).not.toContainText("not finished");
  await picker.getByRole("button", { name: `Delete: ${REPO}` }).click();
  await expect(picker.getByRole("button", { name: `Keep: ${REPO}` })).toBeFocused();
  await page.keyboard.press("Enter");
  await picker.getByRole("button", { name: `Delete: ${REPO}` }).click();
  await picker.getByRole("button", { name: `Delete for good: ${REPO}` }).click();
  await expect(row).toHaveCount(0);
  await expect(picker.getByRole("heading", { name: "Models" })).toBeFocused();
  expect(pageErrors).toEqual([]);
});
