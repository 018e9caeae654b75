import { GOLDEN_BOUNDS, GOLDEN_MODES } from "../src/testing/golden-job";
import type {} from "../src/testing/golden-page"; // window.goldenWorker
import { loadGoldenJobs } from "../src/testing/goldens";
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

const IS_SOAK = Boolean(process.env.CAIRN_SOAK);
/** One mode a KV type, and every third text: a software adapter in a browser is slow, and the tests in Node run all of them. */
const MODES = IS_SOAK ? GOLDEN_MODES : { f32: GOLDEN_MODES.f32.slice(-1), f16: GOLDEN_MODES.f16.slice(-1) };
const KV_TYPES = ["f16", "f32"] as const;
/** One model as users run it, for the same reason; hub.spec.ts has exact ids and logits. */
const SHORT_LIST = new Map<string, readonly (typeof KV_TYPES)[number][]>([["cairn-stories-3M", ["f16"]]]);

for (const [model, { dir, jobs: allJobs }] of loadGoldenJobs()) {
  const jobs = IS_SOAK ? allJobs : allJobs.filter((_, index) => index % 3 === 0);
  for (const kvDtype of IS_SOAK ? KV_TYPES : (SHORT_LIST.get(model) ?? [])) {
    test(`ids and logits of ${model} with ${kvDtype} KV`, async ({ page, pageErrors }) => {
      test.setTimeout(600_000);
      await withTestPage("goldens.html", { "/model/": dir }, async (url, origin) => {
        await page.goto(url);
        const init = { model: { kind: "url", url: `${origin}/model/` }, kvDtype } as const;
        await page.evaluate((init) => window.goldenWorker.open(init), init);
        for (const mode of MODES[kvDtype]) {
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
