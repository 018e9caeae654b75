import type { Page } from "@playwright/test";
import type { GoldenJob } from "../src/testing/golden-job";
import { loadGoldenJobs } from "../src/testing/goldens";
import { overlappedSteps } from "../src/testing/overlapped-steps";
import type {} from "../src/testing/scheduler-page"; // window.scenarios
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

const models = loadGoldenJobs();
/** The smaller one where it is there. */
const name = models.has("stories260K") ? "stories260K" : "cairn-stories-3M";
const { dir, jobs } = models.get(name) ?? { dir: "", jobs: [] };
/** Texts that do not fit into so many blocks together, each far from a tie at every step; and how many tokens to generate. */
const { numBlocks, texts, numSharedOutputs, numTracedOutputs } = {
  stories260K: {
    numBlocks: 10,
    texts: jobs.filter(({ greedyIds }) => greedyIds.length === 60),
    numSharedOutputs: 8,
    numTracedOutputs: 48,
  },
  "cairn-stories-3M": {
    numBlocks: 31,
    texts: jobs.filter(({ promptIds: { length } }) => length > 15 && length < 25),
    numSharedOutputs: 2,
    numTracedOutputs: 16,
  },
}[name];

test("the scheduler and the prefix cache, in a worker", async ({ page, pageErrors }) => {
  test.setTimeout(600_000);
  await withTestPage("scheduler.html", { "/model/": dir }, async (url, origin) => {
    await page.goto(url);
    const init = { model: { kind: "url", url: `${origin}/model/` }, kvDtype: "f32" } as const;
    await page.evaluate((init) => window.openScenarios(init), init);

    await test.step("8 requests with a common prefix of 400 tokens compute it once, with the ids of alone", async () => {
      const run = ({ jobs, maxTokens }: { jobs: readonly GoldenJob[]; maxTokens: number }) =>
        window.scenarios.sharedPrefix(jobs, maxTokens);
      const { alone, together, stats } = await page.evaluate(run, { jobs, maxTokens: numSharedOutputs });
      expect(together.map(({ tokenIds }) => tokenIds)).toEqual(alone.map(({ tokenIds }) => tokenIds));
      expect(together.map(({ tokenIds }) => tokenIds.length)).toEqual(new Array(8).fill(numSharedOutputs));
      expect(together.map(({ cachedTokens }) => cachedTokens)).toEqual([0, ...new Array(7).fill(400)]);
      // The prefix, and of each request 8 tokens of its own and all that it generated but for the last.
      const numScheduledTokens = 400 + 8 * (8 + numSharedOutputs - 1);
      expect(stats).toMatchObject({ numScheduledTokens, numCachedTokens: 7 * 400 });
    });

    // As src/engine/scheduling.gpu.test.ts does in every run.
    if (process.env.CAIRN_SOAK) await standsDisturbance(page);

    await test.step("a step is submitted before the ids of the last are read back", async () => {
      const trace = (maxInFlightSteps: number) => {
        const run = ([text, maxInFlightSteps, maxTokens]: readonly [GoldenJob, number, number]) =>
          window.scenarios.trace(text, maxInFlightSteps, maxTokens);
        return page.evaluate(run, [texts[0], maxInFlightSteps, numTracedOutputs] as const);
      };
      const [one, two] = [await trace(1), await trace(2)];
      expect([one.tokenIds, two.tokenIds]).toEqual(new Array(2).fill(texts[0].greedyIds.slice(0, numTracedOutputs)));
      expect(overlappedSteps(one.events)).toEqual([]);
      const overlapped = overlappedSteps(two.events);
      expect(overlapped[0]).toBe(0);
      // A CPU that is busy with the software adapter may read back steps in pairs: then every other one overlaps.
      expect(overlapped.length).toBeGreaterThanOrEqual(numTracedOutputs / 2 - 1);
      const msPerToken = [one, two].map((trace) => trace.msPerToken.toFixed(1));
      const ratio = (one.msPerToken / two.msPerToken).toFixed(2);
      console.log(`ms a token with one step in flight: ${msPerToken[0]}, with two: ${msPerToken[1]}; ratio ${ratio}`);
    });
    expect(pageErrors).toEqual([]);
  });
});

async function standsDisturbance(page: Page): Promise<void> {
  await test.step("an abort in mid-prefill and a preemption leave all ids as they are", async () => {
    const run = ({ texts, numBlocks }: { texts: readonly GoldenJob[]; numBlocks: number }) =>
      window.scenarios.abortAndPreempt(texts, numBlocks);
    const report = await page.evaluate(run, { texts, numBlocks });
    expect(report.outcomes.map(({ tokenIds }) => tokenIds)).toEqual(texts.map(({ greedyIds }) => greedyIds));
    expect(report.stats.numPreemptions).toBeGreaterThan(0);
    expect(report.aborted).toEqual({ tokenIds: [], end: "aborted", cachedTokens: 0 });
    expect(report.numAbortedTokensComputed).toBe(32);
  });
}
