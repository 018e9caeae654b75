import { GOLDEN_BOUNDS } from "../src/testing/golden-job";
import type {} from "../src/testing/golden-page"; // window.goldenWorker
import { loadGoldenJobs } from "../src/testing/goldens";
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

/** All of chunks and concurrency with the default KV; with f32 KV the two that differ most. */
const MODES = {
  f16: [
    { chunk: null, concurrency: 1 },
    { chunk: 7, concurrency: 4 },
    { chunk: 16, concurrency: 4 },
  ],
  f32: [
    { chunk: null, concurrency: 4 },
    { chunk: 7, concurrency: 4 },
  ],
} as const;

for (const [model, { dir, jobs }] of loadGoldenJobs()) {
  for (const kvDtype of ["f16", "f32"] as const) {
    test(`ids and logits of ${model} with ${kvDtype} KV`, async ({ page, pageErrors }) => {
      test.setTimeout(600_000);
      await withTestPage("goldens.html", { "/model/": dir }, async (url, origin) => {
        await page.goto(url);
        const init = { model: { kind: "url", url: `${origin}/model/` }, kvDtype } as const;
        await page.evaluate((init) => window.goldenWorker.open(init), init);
        for (const { chunk, concurrency } of MODES[kvDtype]) {
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
