import type {} from "../src/testing/kernel-page"; // window.runKernelCases
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

/** The tests in Node run every case in every variant; a browser's software adapter is slow. */
const all = Boolean(process.env.CAIRN_SOAK);

test(`kernels in the browser: ${all ? "every case in every variant" : "every third case in a variant"} of its device`, async ({
  page,
  pageErrors,
}) => {
  test.setTimeout(900_000);
  await withTestPage("kernels.html", {}, async (url) => {
    await page.goto(url);
    const results = await page.evaluate((options) => window.runKernelCases(options), { all });
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(results.length).toBeGreaterThan(0);
    expect(pageErrors).toEqual([]);
  });
});
