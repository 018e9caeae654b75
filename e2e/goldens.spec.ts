import { GOLDEN_BOUNDS } from "../src/testing/golden-job";
import type {} from "../src/testing/golden-page"; // window.goldenWorker
import { loadGoldenJobs } from "../src/testing/goldens";
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

/** Every chunking and concurrency with one of the two cache types; `npm run soak` takes the whole product. */
const ALL_MODES = [
  { chunk: null, concurrency: 1 },
  { chunk: 7, concurrency: 4 },
  { chunk: 16, concurrency: 4 },
  { chunk: null, concurrency: 4 },
] as const;
const MODES = process.env.CAIRN_SOAK
  ? { f32: ALL_MODES, f16: ALL_MODES }
  : { f32: ALL_MODES.slice(2), f16: ALL_MODES.slice(0, 2) };
/** The embedded model's prompts are long for a software adapter; its single requests run in the chat's and the package's tests. */
const EMBEDDED_MODES = process.env.CAIRN_SOAK ? MODES : { f32: [ALL_MODES[2]], f16: [ALL_MODES[3]] };

for (const [model, { dir, jobs }] of loadGoldenJobs()) {
  for (const kvDtype of ["f16", "f32"] as const) {
    test(`ids and logits of ${model} with ${kvDtype} KV`, async ({ page, pageErrors }) => {
      test.setTimeout(600_000);
      await withTestPage("goldens.html", { "/model/": dir }, async (url, origin) => {
        await page.goto(url);
        const init = { model: { kind: "url", url: `${origin}/model/` }, kvDtype } as const;
        await page.evaluate((init) => window.goldenWorker.open(init), init);
        for (const { chunk, concurrency } of (model === "cairn-stories-3M" ? EMBEDDED_MODES : MODES)[kvDtype]) {
          const args = { jobs, bounds: GOLDEN_BOUNDS[kvDtype], chunk, concurrency };
          const problems = await page.evaluate(
            ({ jobs, bounds, chunk, concurrency }) => window.goldenWorker.check(jobs, bounds, chunk, concurrency),
            args,
          );
          expect(problems, `chunks of ${chunk}, ${concurrency} at once`).toEqual([]);
        }
        await page.evaluate(() => window.goldenWorker.close());
        expect(pageErrors).toEqual([]);
      });
    });
  }
}
