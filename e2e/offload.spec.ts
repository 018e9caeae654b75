import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { GOLDEN_BOUNDS, type GoldenJob } from "../src/testing/golden-job";
import {
  COMMON_PREFIX,
  GEMMA_CONFIG,
  GEMMA_JOBS,
  gemmaFiles,
  KV_CALLS_FOUND,
  KV_CALLS_PROMPT,
  LOST_PROMPT,
  LOST_TEXT,
  MAP_DELAY_MS,
  NUM_IDS_BEFORE_ABORT,
  REVISITS,
  SLOW_RINGS,
  SMALL_POOL,
  SUFFIXES,
} from "../src/testing/offload-cases";
import type {} from "../src/testing/scheduler-page"; // window.offload and window.trials
import { SHORT_MODEL } from "./short-model";
import { expect, test } from "./test";
import { withTestPage } from "./test-page";

test("KV in RAM, in a worker", async ({ page, pageErrors }) => {
  test.setTimeout(900_000);
  await withTestPage("scheduler.html", { "/model/": SHORT_MODEL }, async (url, origin) => {
    await page.goto(url);
    const init = {
      model: { kind: "url", url: `${origin}/model/` },
      kvDtype: "f32",
      engine: { useGemvUpToTokens: 1 },
    } as const;
    await page.evaluate((init) => window.openOffload(init), init);
    // As src/engine/offload.gpu.test.ts does in every run.
    if (process.env.CAIRN_SOAK) await revisitsPrompts(page);
    await findsPrefixes(page);
    await page.evaluate(() => window.tryOffload());
    await losesDevice(page, LOST_TEXT, LOST_PROMPT);
    expect(pageErrors).toEqual([]);
  });
});

// As src/engine/offload.gpu.test.ts does in every run.
if (process.env.CAIRN_SOAK) {
  test("KV in RAM under stress, in a worker", async ({ page, pageErrors }) => {
    test.setTimeout(900_000);
    const gemma = await mkdtemp(join(tmpdir(), "cairn-gemma-"));
    await Promise.all(gemmaFiles().map(({ name, bytes }) => writeFile(join(gemma, name), bytes)));
    await withTestPage("scheduler.html", { "/gemma/": gemma }, async (url, origin) => {
      await page.goto(url);
      const withWindows = { model: { kind: "url", url: `${origin}/gemma/` }, engine: GEMMA_CONFIG } as const;
      await page.evaluate((init) => window.openTrials(init), withWindows);
      await standsTrials(page);
      await losesDevice(page, GEMMA_JOBS[0], GEMMA_JOBS[1].promptIds);
      expect(pageErrors).toEqual([]);
    });
    await rm(gemma, { recursive: true });
  });
}

async function revisitsPrompts(page: Page): Promise<void> {
  await test.step("prompts of four times the pool are found where an oracle says, with the ids and logits of computing them", async () => {
    const bounds = GOLDEN_BOUNDS.f32;
    const report = await page.evaluate(
      ({ revisit: { prompts, orders, maxTokens, options }, minGap }) =>
        window.offload.revisit(prompts, orders, { maxTokens, minGap }, options),
      { revisit: REVISITS.browser, minGap: bounds.gap },
    );
    expect(report.numPromptBlocks).toBeGreaterThanOrEqual(4 * report.numPoolBlocks);
    expect(report.problems).toEqual([]);
    const visits = [...report.firstVisits, ...report.laterVisits];
    expect(visits.map(({ found }) => found)).toEqual(visits.map(({ predicted }) => predicted));
    for (const { tokenIds, certainIds, logitError } of visits) {
      expect(tokenIds.slice(0, certainIds.length)).toEqual(certainIds);
      expect(logitError).toBeLessThan(bounds.logit);
    }
    const numWith = (isOne: (gpu: number, host: number) => boolean) =>
      report.laterVisits.filter(({ found }) => isOne(found.gpu, found.host)).length;
    expect(numWith((gpu, host) => gpu > 0 && host === 0)).toBeGreaterThan(1);
    expect(numWith((gpu, host) => gpu === 0 && host > 0)).toBeGreaterThan(1);
    expect(numWith((gpu, host) => gpu > 0 && host > 0)).toBeGreaterThan(0);
  });
}

async function findsPrefixes(page: Page): Promise<void> {
  await test.step("6 requests at once with a prefix that is in RAM load it once", async () => {
    const report = await page.evaluate(({ prefix, suffixes }) => window.offload.onePrefix(prefix, suffixes, 2, {}), {
      prefix: COMMON_PREFIX.slice(0, 32),
      suffixes: SUFFIXES,
    });
    expect(report.together).toEqual(report.alone);
    expect(report.found).toEqual([
      { gpu: 0, host: 32, storage: 0 },
      ...new Array(5).fill({ gpu: 32, host: 0, storage: 0 }),
    ]);
    expect(report).toMatchObject({ numLoads: 1, bytesLoaded: report.prefixBytes, numDeferrals: 5 });
  });

  await test.step("prefetch, clear and stats tell and do the same", async () => {
    const run = (prompt: readonly number[]) => window.offload.kvCalls(prompt, 3);
    const { prefetches, found, outcomes, stats } = await page.evaluate(run, KV_CALLS_PROMPT);
    expect(prefetches).toEqual(KV_CALLS_FOUND.prefetches);
    expect(found).toEqual(KV_CALLS_FOUND.found);
    expect(outcomes).toEqual(new Array(4).fill(outcomes[0]));
    expect(stats.tokens).toEqual(KV_CALLS_FOUND.tokens);
    // As in src/engine/offload.gpu.test.ts.
    expect(stats.loads).toMatchObject({ numStarted: 2, bytes: 2 * 12 * stats.gpu.blockBytes });
    expect(stats.stores).toMatchObject({ numDone: 12, bytes: 12 * (stats.host?.chunkBytes ?? 0) });
  });
}

async function standsTrials(page: Page): Promise<void> {
  const goldenIds = GEMMA_JOBS.map(({ greedyIds }) => greedyIds);

  await test.step("a ring of one slot with maps that are 50 ms late stores what was written, and nearly all of it", async () => {
    const jobs = GEMMA_JOBS.slice(0, 3);
    const report = await page.evaluate(
      ({ jobs, mapDelayMs, options }) => window.trials.slowRing(jobs, mapDelayMs, options),
      { jobs, mapDelayMs: MAP_DELAY_MS, options: SLOW_RINGS.keepsUp },
    );
    expect(report.outcomes).toEqual(goldenIds.slice(0, 3));
    expect(report.numStoredUndisturbed).toBe(report.numReachable);
    expect(report.storedError).toBeLessThan(1e-4);
    expect(report.maxOnlyLeased).toBeGreaterThan(0);
    expect(report.numStored).toBeGreaterThanOrEqual(0.9 * report.numReachable);
    expect(report.revisits).toEqual(jobs.map(({ greedyIds }) => greedyIds.slice(-report.revisits[0].length)));
    expect(report.found.some((found) => (found?.host ?? 0) > 0)).toBe(true);
  });

  await test.step("preempted requests go on from RAM", async () => {
    const { outcomes, stats } = await page.evaluate(({ jobs, options }) => window.trials.preempt(jobs, options), {
      jobs: GEMMA_JOBS,
      options: SMALL_POOL,
    });
    expect(outcomes).toEqual(goldenIds);
    expect(stats.numPreemptions).toBeGreaterThan(0);
    expect(stats.numExternalTokens).toBeGreaterThan(0);
  });

  await test.step("an aborted request leaves its chunks, prompt and answer, to the next", async () => {
    const [job, numIds] = [GEMMA_JOBS[0], NUM_IDS_BEFORE_ABORT];
    const run = ([job, numIds]: readonly [GoldenJob, number]) => window.trials.abort(job, numIds);
    const { end, abortedIds, nextIds, found } = await page.evaluate(run, [job, numIds] as const);
    expect(abortedIds).toEqual(goldenIds[0].slice(0, numIds));
    expect(nextIds).toEqual(goldenIds[0].slice(numIds + 1));
    expect({ end, found }).toEqual({
      end: "aborted",
      found: { gpu: 0, host: job.promptIds.length + numIds, storage: 0 },
    });
  });
}

type JobText = Pick<GoldenJob, "promptIds" | "greedyIds">;

async function losesDevice(page: Page, text: JobText, otherIds: readonly number[]): Promise<void> {
  await test.step("a device that is lost in the midst of a load and a store ends everything", async () => {
    const run = ([text, otherIds]: readonly [JobText, readonly number[]]) => window.trials.loseDevice(text, otherIds);
    const report = await page.evaluate(run, [text, otherIds] as const);
    expect(report.ends).toEqual(new Array(4).fill("device_lost"));
    expect(report.numStoresInFlight).toBeGreaterThan(0);
    // Of at least 10 in the full group and 2 in each window.
    expect(report.numBlocksLoaded).toBeLessThan(14);
  });
}
