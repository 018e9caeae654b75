import { defineConfig } from "@playwright/test";
import { HEADLESS_ARGS, SOFTWARE_GPU_ARGS } from "./scripts/browser-args.mjs";
import { findBrowser } from "./scripts/find-browser.mjs";

export default defineConfig({
  testDir: "e2e",
  testMatch: "**/*.spec.ts",
  globalSetup: "./e2e/build-test-pages.ts",
  // An engine that starts compiles its shaders on one core, one after the other: two files at a time use two.
  workers: 2,
  timeout: 180_000,
  expect: { timeout: 120_000 },
  forbidOnly: Boolean(process.env.CI),
  reporter: "list",
  use: {
    browserName: "chromium",
    // The software adapter everywhere, also where there is a GPU: what a test sees does not depend on the machine.
    launchOptions: { executablePath: findBrowser(), args: [...HEADLESS_ARGS, ...SOFTWARE_GPU_ARGS] },
    screenshot: "only-on-failure",
  },
});
