import { defineConfig } from "@playwright/test";
import { findBrowser } from "./scripts/find-browser.mjs";

/** The software adapter everywhere, also where there is a GPU: what a test sees does not depend on the machine. */
const BROWSER_ARGS = [
  "--headless=new",
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--no-first-run",
  // Names other than localhost do not resolve, so that nothing can come to depend on them.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
];

export default defineConfig({
  testDir: "e2e",
  testMatch: "**/*.spec.ts",
  workers: 1,
  timeout: 180_000,
  expect: { timeout: 120_000 },
  forbidOnly: Boolean(process.env.CI),
  reporter: "list",
  use: {
    browserName: "chromium",
    launchOptions: { executablePath: findBrowser(), args: BROWSER_ARGS },
    screenshot: "only-on-failure",
  },
});
