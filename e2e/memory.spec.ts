import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startStaticServer } from "../scripts/static-server.mjs";
import { type SyntheticShape, writeSyntheticCheckpoint } from "../src/testing/synthetic-checkpoint";
import { compileOnly } from "./compile-only";
import { HeapWatch } from "./heap-watch";
import { expect, test } from "./test";

const SHAPE: SyntheticShape = {
  numLayers: 8,
  hiddenSize: 1024,
  intermediateSize: 4096,
  numHeads: 16,
  numKvHeads: 4,
  vocabSize: 65_536,
};

// The soak also keeps the file in the browser, waits for the kernels, and asks the model what it read.
const generates = Boolean(process.env.CAIRN_SOAK);

test("500 MB of weights load through less than 100 MB of the page's and the worker's memory", async ({
  page,
  site,
}) => {
  const dir = await mkdtemp(join(tmpdir(), "cairn-synthetic-"));
  const headers = { "Access-Control-Allow-Origin": "*" };
  const models = await startStaticServer({ mounts: { "/model/": dir }, headers });
  try {
    const { weightFileBytes, numParameters, chain } = await writeSyntheticCheckpoint(dir, SHAPE);
    expect(weightFileBytes).toBeGreaterThan(500e6);
    if (!generates) await compileOnly(page, ["repack_rows"]);
    await page.goto(`${site.url}/fixtures/blank.html`);
    const watch = await HeapWatch.start(page);
    const load = async ({ model, prompt, maxTokens }: { model: string; prompt: number[]; maxTokens: number }) => {
      const packageUrl = "/dist/index.js";
      const { createEngine }: typeof import("../src/index") = await import(packageUrl);
      const loaded = new AbortController();
      let bytes = 0;
      const creating = createEngine({
        model,
        cache: maxTokens > 0,
        signal: loaded.signal,
        engine: { useGemvUpToTokens: 1, useSelfTest: false },
        onProgress: (progress) => {
          if (progress.phase === "weights") bytes = progress.loaded;
          if (progress.phase === "compile" && maxTokens === 0) loaded.abort();
        },
      });
      if (maxTokens === 0) {
        const end: string = await creating.then(
          () => "loaded",
          ({ code }) => code,
        );
        return { bytes, end, ids: [] };
      }
      const engine = await creating;
      const body = { prompt, max_tokens: maxTokens, temperature: 0, return_token_ids: true } as const;
      const { choices } = await engine.completions.create(body);
      await engine.dispose();
      return { bytes, end: "generated", ids: choices[0]?.token_ids };
    };
    const maxTokens = generates ? chain.length - 1 : 0;
    const report = await page.evaluate(load, { model: `${models.url}/model/`, prompt: chain.slice(0, 1), maxTokens });
    const { peakBytes, numThreads } = await watch.stop();
    expect(report).toEqual({
      bytes: 2 * numParameters,
      end: generates ? "generated" : "aborted",
      ids: generates ? chain.slice(1) : [],
    });
    console.log(`Peak: ${(peakBytes / 1e6).toFixed(1)} MB.`);
    expect(numThreads).toBeGreaterThan(1);
    // The buffer of one piece of weights at least, or nothing was measured.
    expect(peakBytes).toBeGreaterThan(16e6);
    expect(peakBytes).toBeLessThan(100e6);
  } finally {
    await models.close();
    await rm(dir, { recursive: true });
  }
});
