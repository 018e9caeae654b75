import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startStaticServer } from "../scripts/static-server.mjs";
import { writeSyntheticCheckpoint } from "../src/testing/synthetic-checkpoint";
import { HeapWatch } from "./heap-watch";
import { expect, test } from "./test";

const SHAPE = {
  numLayers: 8,
  hiddenSize: 1024,
  intermediateSize: 4096,
  numHeads: 16,
  numKvHeads: 4,
  vocabSize: 65_536,
};

test("500 MB of weights load through less than 100 MB of the page's and the worker's memory", async ({ page, site }) => {
  test.setTimeout(300_000);
  const dir = await mkdtemp(join(tmpdir(), "cairn-synthetic-"));
  try {
    const { weightFileBytes, chain } = await writeSyntheticCheckpoint(dir, SHAPE);
    expect(weightFileBytes).toBeGreaterThan(500e6);
    const models = await startStaticServer({ mounts: { "/model/": dir }, headers: { "Access-Control-Allow-Origin": "*" } });
    await page.goto(`${site.url}/fixtures/blank.html`);
    const watch = await HeapWatch.start(page);
    const t0 = Date.now();
    const report = await page.evaluate(async ({ model, prompt, maxTokens }) => {
      const packageUrl = "/dist/index.js";
      const { createEngine, planMemory } = (await import(packageUrl)) as typeof import("../src/index");
      const t = [performance.now()];
      const plan = await planMemory(model);
      t.push(performance.now());
      const engine = await createEngine({ model, engine: { useGemvUpToTokens: 1, hostCacheBytes: 1 } });
      t.push(performance.now());
      const completion = await engine.completions.create({ prompt, max_tokens: maxTokens, temperature: 0, return_token_ids: true });
      t.push(performance.now());
      await engine.dispose();
      return { plan, t, choice: completion.choices[0], info: engine.info };
    }, { model: `${models.url}/model/`, prompt: chain.slice(0, 1), maxTokens: chain.length - 1 });
    const peak = await watch.stop();
    console.log(Date.now() - t0, peak, watch.numThreads, JSON.stringify(report), chain);
    await models.close();
  } finally {
    await rm(dir, { recursive: true });
  }
});
