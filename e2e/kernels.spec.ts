import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { ROOT } from "../scripts/project.mjs";
import type {} from "../src/testing/kernel-page"; // window.runKernelCases
import { startStaticServer } from "../scripts/static-server.mjs";
import { expect, test } from "./test";

test("every kernel case passes in the browser, in every variant of its device", async ({ page, pageErrors }) => {
  test.setTimeout(900_000);
  const outDir = await mkdtemp(join(tmpdir(), "cairn-kernels-"));
  await build({
    configFile: false,
    root: ROOT,
    publicDir: false,
    logLevel: "warn",
    build: { outDir, target: "es2023", rolldownOptions: { input: join(ROOT, "e2e/fixtures/kernels.html") } },
  });
  const server = await startStaticServer({ mounts: { "/": outDir } });
  try {
    await page.goto(`${server.url}/e2e/fixtures/kernels.html`);
    const results = await page.evaluate(() => window.runKernelCases());
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(results.length).toBeGreaterThan(0);
    expect(pageErrors).toEqual([]);
  } finally {
    await server.close();
    await rm(outDir, { recursive: true });
  }
});
