import type { Page } from "@playwright/test";
import golden from "./fixtures/cairn-stories-3M.golden.json" with { type: "json" };
import { expect, test } from "./test";

/** What a call on the page threw, as far as its caller can see. */
interface Thrown {
  readonly isCairnError: boolean;
  readonly name: string;
  readonly code: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly message: string;
}

declare global {
  var cairn: typeof import("../src/index");
  var errorOf: (promise: Promise<unknown>) => Promise<Thrown | null>;
  /** The embedded model's files with some replaced. */
  var modelFiles: (replaced: Readonly<Record<string, (bytes: ArrayBuffer) => BlobPart>>) => Promise<File[]>;
  /** The engine's worker after a line of script; a URL for `workerUrl`. */
  var workerAfter: (script: string) => string;
  var pending: Promise<Thrown | null>;
}

const MODEL = "/models/cairn-stories-3M/";
const greeting = golden.cases.find(({ messages }) => messages.length === 1 && messages[0]?.content === "Hello!");

async function openPackage(page: Page, siteUrl: string): Promise<void> {
  await page.goto(`${siteUrl}/fixtures/blank.html`);
  await page.evaluate(async (model) => {
    const packageUrl = "/dist/index.js";
    globalThis.cairn = await import(packageUrl);
    globalThis.errorOf = (promise) =>
      promise.then(
        () => null,
        (thrown) => {
          const { name, code, data, message } = thrown;
          return { isCairnError: thrown instanceof cairn.CairnError, name, code, data, message };
        },
      );
    const names = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"];
    globalThis.modelFiles = (replaced) =>
      Promise.all(
        [...names, "tokenizer_config.json"].map(async (name) => {
          const bytes = await (await fetch(model + name)).arrayBuffer();
          return new File([replaced[name]?.(bytes) ?? bytes], name);
        }),
      );
    globalThis.workerAfter = (script) => {
      const first = `data:text/javascript,${encodeURIComponent(script)}`;
      const source = `import "${first}"; import "${location.origin}/dist/worker.js";`;
      return URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    };
  }, MODEL);
}

const cairnError = (code: string, data: unknown) => expect.objectContaining({ isCairnError: true, code, data });

test("what is wrong with a model keeps its code and data across the worker", async ({ page, site }) => {
  await openPackage(page, site.url);
  const errors = await page.evaluate(async () => {
    const load = (options: object) => errorOf(cairn.createEngine({ model: "/models/cairn-stories-3M/", ...options }));
    const edit = (field: string, value: unknown) => (bytes: ArrayBuffer) =>
      JSON.stringify({ ...JSON.parse(new TextDecoder().decode(bytes)), [field]: value });
    const withConfig = (field: string, value: unknown) => modelFiles({ "config.json": edit(field, value) });
    return {
      missing: await load({ model: "/models/none/" }),
      truncated: await load({ model: await modelFiles({ "model.safetensors": (bytes) => bytes.slice(0, 6_000_000) }) }),
      architecture: await load({ model: await withConfig("model_type", "mamba") }),
      shape: await load({ model: await withConfig("intermediate_size", 512) }),
      tokenizer: await load({ model: await modelFiles({ "tokenizer.json": () => "{" }) }),
      context: await load({ maxModelLen: 4096 }),
      memory: await load({ engine: { gpuMemoryBytes: 1_000_000 } }),
      setting: await load({ engine: { turbo: true } }),
      option: await load({ modelUrl: "x" }),
    };
  });
  const layer = "model.layers.0.mlp.gate_proj.weight";
  expect(errors).toEqual({
    missing: cairnError("model_file_missing", { file: "config.json", status: 404 }),
    truncated: cairnError("invalid_safetensors", {
      file: "model.safetensors",
      reason: "the header describes 6557000 bytes, the file has 6000000",
    }),
    architecture: cairnError("unsupported_architecture", { modelType: "mamba" }),
    shape: cairnError("tensor_shape", { tensor: layer, expected: [512, 192], actual: [576, 192] }),
    tokenizer: cairnError("invalid_tokenizer", { file: "tokenizer.json", reason: expect.any(String) }),
    context: cairnError("invalid_request", { param: "maxModelLen", value: 4096, maxPositionEmbeddings: 1024 }),
    memory: cairnError("out_of_memory", expect.objectContaining({ availableBytes: 1_000_000, longestModelLen: 0 })),
    setting: cairnError("unsupported_parameter", { param: "engine.turbo" }),
    option: cairnError("unsupported_parameter", { param: "modelUrl" }),
  });
  await expect.poll(() => page.workers().length).toBe(0);
});

test("a browser without WebGPU, and one without an adapter, are told apart", async ({ page, site }) => {
  await openPackage(page, site.url);
  const errors = await page.evaluate(async (model) => {
    const load = (script: string) => errorOf(cairn.createEngine({ model, workerUrl: workerAfter(script) }));
    return [
      await load("Object.defineProperty(navigator, 'gpu', { value: undefined })"),
      await load("navigator.gpu.requestAdapter = async () => null"),
    ];
  }, MODEL);
  expect(errors).toEqual([
    cairnError("no_webgpu", {}),
    cairnError("no_adapter", { powerPreference: null, forceFallback: false }),
  ]);
});

test("a worker that is not there, or is another script, is worker_failed", async ({ page, site }) => {
  await page.clock.install();
  await openPackage(page, site.url);
  const load = (workerUrl: string) =>
    page.evaluate(([model, url]) => errorOf(cairn.createEngine({ model, workerUrl: url })), [
      MODEL,
      workerUrl,
    ] as const);
  expect(await load("/nowhere.js")).toEqual(
    cairnError("worker_failed", { url: "/nowhere.js", reason: "it could not be loaded" }),
  );
  const silent = "data:text/javascript,onmessage=()=>{}";
  await page.evaluate(
    ([model, workerUrl]) => {
      globalThis.pending = errorOf(cairn.createEngine({ model, workerUrl }));
    },
    [MODEL, silent] as const,
  );
  await page.clock.fastForward(10_000);
  expect(await page.evaluate(() => pending)).toEqual(
    cairnError("worker_failed", { url: silent, reason: "its script did not answer within 10 s" }),
  );
  await expect.poll(() => page.workers().length).toBe(0);
});

test("a worker that a tokenizer's regular expression holds up is ended", async ({ page, site }) => {
  await page.clock.install();
  await openPackage(page, site.url);
  await page.evaluate(async () => {
    // Backtracks over every way to part a row of a's; the tokenizer normalizes its added tokens while it is read.
    const evil = (bytes: ArrayBuffer) => {
      const json = JSON.parse(new TextDecoder().decode(bytes));
      json.normalizer = { type: "Replace", pattern: { Regex: "(a+)+!" }, content: "" };
      json.added_tokens.push({ id: 2048, content: "a".repeat(60), normalized: true });
      return JSON.stringify(json);
    };
    const model = await modelFiles({ "tokenizer.json": evil });
    await new Promise<void>((isLoading) => {
      globalThis.pending = errorOf(cairn.createEngine({ model, onProgress: () => isLoading() }));
    });
  });
  // Two periods at most until the first ping that nothing answers is sent, and two of silence.
  for (let numPeriods = 0; numPeriods < 4; numPeriods++) await page.clock.fastForward(15_000);
  expect(await page.evaluate(() => pending)).toEqual(
    cairnError("worker_failed", { reason: "it did not answer for 30 s" }),
  );
  await expect.poll(() => page.workers().length).toBe(0);
});

test("an engine answers after every bad request, abort and broken-off stream", async ({ page, site }) => {
  await openPackage(page, site.url);

  const abortedLoad = await page.evaluate(async (model) => {
    const controller = new AbortController();
    // Before its kernels compile: browsers finish what they began to compile before they serve the next load.
    const onProgress = () => controller.abort("enough");
    return errorOf(cairn.createEngine({ model, onProgress, signal: controller.signal }));
  }, MODEL);
  expect(abortedLoad).toMatchObject({ code: "aborted", name: "AbortError", isCairnError: true });
  await expect.poll(() => page.workers().length).toBe(0);

  // Over the whole worker, as under a strict policy. With few kernels and no self-test a software adapter is ready sooner.
  const engine = await page.evaluateHandle(
    (model) =>
      cairn.createEngine({
        model,
        workerUrl: "/dist/worker.js",
        engine: { useGemvUpToTokens: 1, useSelfTest: false },
      }),
    MODEL,
  );
  const answer = () =>
    engine.evaluate(async ({ chat }) => {
      const messages = [{ role: "user", content: "Hello!" }] as const;
      const body = { messages, temperature: 0, return_token_ids: true };
      const { choices } = await chat.completions.create(body);
      return { text: choices[0]?.message.content, ids: choices[0]?.token_ids };
    });
  const goldenAnswer = { text: greeting?.text, ids: greeting?.greedy_ids };

  const refused = await engine.evaluate(async ({ completions }) => {
    const bodies: readonly object[] = [
      { prompt: "a", echo: true, best_of: 2 },
      { prompt: "a", temperature: "hot" },
      { prompt: "a", max_tokens: 0 },
      { prompt: [2, -7] },
      { prompt: [2, 5000] },
      { prompt: [] },
      { prompt: new Array(1024).fill(7) },
    ];
    const errors = [];
    for (const body of bodies) errors.push(await errorOf(completions.create(body as { prompt: string })));
    return errors;
  });
  expect(refused).toEqual([
    cairnError("unsupported_parameter", { param: expect.stringMatching(/^(echo|best_of)$/) }),
    cairnError("invalid_request", { param: "temperature" }),
    cairnError("invalid_request", { param: "max_tokens" }),
    cairnError("invalid_request", { param: "prompt[1]" }),
    cairnError("invalid_request", { param: "prompt[1]", value: 5000, vocabSize: 2048 }),
    cairnError("invalid_request", { param: "prompt" }),
    cairnError("context_length_exceeded", { numPromptTokens: 1024, maxModelLen: 1024 }),
  ]);
  expect(await answer()).toEqual(goldenAnswer);

  const aborted = await engine.evaluate(async ({ completions }) => {
    const body = { prompt: "Once upon a time", max_tokens: 60, stream: true } as const;
    const before = await errorOf(completions.create(body, { signal: AbortSignal.abort() }));
    const controller = new AbortController();
    const during = await errorOf(
      (async () => {
        for await (const _ of await completions.create(body, { signal: controller.signal })) controller.abort();
      })(),
    );
    let numChunks = 0;
    for await (const _ of await completions.create(body)) {
      if (++numChunks === 3) break;
    }
    const late = new AbortController();
    const whole = await completions.create({ prompt: "Once", max_tokens: 2 }, { signal: late.signal });
    late.abort();
    return { before, during, numChunks, finishReason: whole.choices[0]?.finish_reason };
  });
  expect(aborted).toEqual({
    before: expect.objectContaining({ code: "aborted", name: "AbortError" }),
    during: expect.objectContaining({ code: "aborted", name: "AbortError" }),
    numChunks: 3,
    finishReason: "length",
  });
  expect(await answer()).toEqual(goldenAnswer);

  const disposed = await engine.evaluate(async (live) => {
    const running = errorOf(live.completions.create({ prompt: "Once upon a time", max_tokens: 200 }));
    await Promise.all([live.dispose(), live.dispose()]);
    await live.dispose();
    return { running: await running, after: await errorOf(live.completions.create({ prompt: "Once" })) };
  });
  expect(disposed).toEqual({ running: cairnError("disposed", {}), after: cairnError("disposed", {}) });
  await expect.poll(() => page.workers().length).toBe(0);
});
