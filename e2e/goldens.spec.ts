import { GOLDEN_BOUNDS, GOLDEN_MODES } from "../src/testing/golden-job";
import type {} from "../src/testing/golden-page"; // window.goldenWorker
import { loadGoldenJobs } from "../src/testing/goldens";
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

/** The embedded model's prompts are long for a software adapter; single requests to it run in the package's tests. */
const modesOf = (model: string, kvDtype: "f32" | "f16") =>
  model === "cairn-stories-3M" && !process.env.CAIRN_SOAK
    ? GOLDEN_MODES[kvDtype].slice(kvDtype === "f32" ? 1 : -1)
    : GOLDEN_MODES[kvDtype];

for (const [model, { dir, jobs }] of loadGoldenJobs()) {
  for (const kvDtype of ["f16", "f32"] as const) {
    test(`ids and logits of ${model} with ${kvDtype} KV`, async ({ page, pageErrors }) => {
      test.setTimeout(600_000);
      await withTestPage("goldens.html", { "/model/": dir }, async (url, origin) => {
        await page.goto(url);
        const init = { model: { kind: "url", url: `${origin}/model/` }, kvDtype } as const;
        await page.evaluate((init) => window.goldenWorker.open(init), init);
        for (const mode of modesOf(model, kvDtype)) {
          const args = { jobs, bounds: GOLDEN_BOUNDS[kvDtype], mode };
          const problems = await page.evaluate(
            ({ jobs, bounds, mode }) => window.goldenWorker.check(jobs, bounds, mode),
            args,
          );
          expect(problems, JSON.stringify(mode)).toEqual([]);
        }
        await page.evaluate(() => window.goldenWorker.close());
        expect(pageErrors).toEqual([]);
      });
    });
  }
}
