import type {} from "../src/testing/kernel-page"; // window.runKernelCases
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

test("every kernel case passes in the browser, in every variant of its device", async ({ page, pageErrors }) => {
  test.setTimeout(900_000);
  await withTestPage("kernels.html", {}, async (url) => {
    await page.goto(url);
    const results = await page.evaluate(() => window.runKernelCases());
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(results.length).toBeGreaterThan(0);
    expect(pageErrors).toEqual([]);
  });
});
