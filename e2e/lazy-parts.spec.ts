import { join } from "node:path";
import { ROOT } from "../scripts/project.mjs";
import { startStaticServer } from "../scripts/static-server.mjs";
import { expect, test } from "./test";

test("a policy that lets workers start from blobs, but no scripts, is told where a part is needed", async ({
  page,
}) => {
  const mounts = { "/": "e2e/fixtures", "/dist/": "dist", "/models/": "public/models" };
  const server = await startStaticServer({
    mounts: Object.fromEntries(Object.entries(mounts).map(([path, dir]) => [path, join(ROOT, dir)])),
    headers: { "Content-Security-Policy": "script-src 'self' 'wasm-unsafe-eval'; worker-src blob:" },
  });
  try {
    await page.goto(`${server.url}/blank.html`);
    const failure = await page.evaluate(async () => {
      const packageUrl = "/dist/index.js";
      const { createEngine }: typeof import("../src/index") = await import(packageUrl);
      const loading = createEngine({ model: "/models/cairn-stories-3M/", cache: false });
      return loading.then(
        () => "loaded",
        ({ code, message }) => `${code}: ${message}`,
      );
    });
    expect(failure).toMatch(/^worker_failed: download could not be loaded: .*blob:/);
  } finally {
    await server.close();
  }
});

test("the grammar part's script runs in a worker, and needs nothing else", async ({ page, site }) => {
  await page.goto(`${site.url}/fixtures/blank.html`);
  const mask = await page.evaluate(async () => {
    const partUrl = "/dist/part-grammar.js";
    const { default: text }: { default: string } = await import(partUrl);
    const urlOf = (script: string) => URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const script = `
      const { default: makePart } = await import("${urlOf(text)}");
      const tokenizer = { tokenBytes: (id) => Uint8Array.of(97 + id), isSpecial: () => false, tokenText: () => null };
      const grammars = await makePart({ CairnError: Error })({ size: 5, stopIds: [4], tokenizer });
      const constraint = await grammars.begin({ type: "const_string", value: "b" });
      const first = constraint.mask[0];
      await constraint.accept(1);
      postMessage([first, constraint.mask[0]]);`;
    const worker = new Worker(urlOf(script), { type: "module" });
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
  });
  expect(mask).toEqual([0b00010, 0b10000]);
});

test("int8 is loaded where KV is to be kept so, and KV comes back from it", async ({ page, site }) => {
  await page.goto(`${site.url}/fixtures/blank.html`);
  const found = await page.evaluate(async () => {
    const packageUrl = "/dist/index.js";
    const { createEngine }: typeof import("../src/index") = await import(packageUrl);
    const model = "/models/cairn-stories-3M/";
    const settings = { offloadEncoding: "int8", loadPolicy: "always", useStorage: false, useSelfTest: false } as const;
    const engine = await createEngine({ model, cache: false, engine: { ...settings, useGemvUpToTokens: 1 } });
    const prompt = Array.from({ length: 40 }, (_, i) => 100 + i);
    const ask = () => engine.completions.create({ prompt, max_tokens: 1, temperature: 0 });
    await ask();
    while ((await engine.kv.stats()).stores.numDone < 3) await new Promise((resolve) => setTimeout(resolve));
    await engine.kv.clear({ tiers: ["gpu"] });
    const { usage } = await ask();
    const { host, gpu } = await engine.kv.stats();
    await engine.dispose();
    return { tiers: usage.prompt_tokens_details.cached_tokens_by_tier, share: host!.chunkBytes / (2 * gpu.blockBytes) };
  });
  // A head dim of 64: 64 int8 and a scale of 4 bytes, of 128 bytes.
  expect(found).toEqual({ tiers: { gpu: 0, host: 32, storage: 0 }, share: 68 / 128 });
});
