import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BrowserContext, Page } from "@playwright/test";
import { ROOT } from "../scripts/project.mjs";
import type { TokensByTier } from "../src/index";
import { FakeHub } from "../src/loader/fake-hub.fixture";
import { expect, test } from "./test";

declare global {
  var cairn: typeof import("../src/index");
  var engine: import("../src/index").CairnEngine;
  /** How the stream of `beginStream` ended: its text, or the error's code. */
  var streamEnd: Promise<string>;
}

const MODEL_DIR = join(ROOT, "public/models/cairn-stories-3M");
const WEIGHTS = "model.safetensors";
const EOS_IDS = { 1: -100, 5: -100 };
/** More than any step of this test waits for. */
const ENDLESS_TOKENS = 900;
const STORY =
  "there was a girl who had a red ball and a small dog. Every day she went to the park with the dog and threw the ball. " +
  "One day the ball rolled under a big tree, and the dog could not find it. The girl looked and looked.";

let hub: FakeHub;
test.beforeAll(async () => {
  const names = readdirSync(MODEL_DIR);
  hub = await FakeHub.start({
    files: Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(join(MODEL_DIR, name)))])),
  });
});
test.afterAll(() => hub?.close());

interface StartOptions {
  /** Of the hub; the model's unless given. */
  readonly folder?: string;
  readonly namespace?: string;
  /** Give up at the first sign of progress. */
  readonly probe?: boolean;
}

/** Phases of the load, or the code of its error. */
function start(page: Page, { folder = "plain", namespace = "shared", probe = false }: StartOptions = {}) {
  return page.evaluate(
    async ({ model, namespace, probe }) => {
      const packageUrl = "/dist/index.js";
      globalThis.cairn = await import(packageUrl);
      const phases = new Set<string>();
      const abort = new AbortController();
      const onProgress = ({ phase }: { readonly phase: string }) => {
        phases.add(phase);
        if (probe) abort.abort();
      };
      const settings = { useSelfTest: false, loadPolicy: "always", useGemvUpToTokens: 1 } as const;
      const fixed = { workerUrl: "/dist/worker.js", shared: true, kvDtype: "f32", engine: settings } as const;
      try {
        globalThis.engine = await cairn.createEngine({ model, namespace, onProgress, signal: abort.signal, ...fixed });
        return [...phases];
      } catch (error) {
        return (error as InstanceType<typeof cairn.CairnError>).code;
      }
    },
    { model: `${hub.endpoint}/${folder}/`, namespace, probe },
  );
}

interface Answer {
  readonly text: string;
  readonly found: TokensByTier;
}

/** The beginning decides: texts that begin differently share no block. */
function ask(page: Page, beginning: string): Promise<Answer> {
  return page.evaluate(async (prompt) => {
    const { choices, usage } = await engine.completions.create({ prompt, max_tokens: 12, temperature: 0 });
    return { text: choices[0].text, found: usage.prompt_tokens_details.cached_tokens_by_tier };
  }, `${beginning} ${STORY}`);
}

/** Resolves when the first token is there. */
async function beginStream(page: Page, beginning: string, maxTokens: number): Promise<void> {
  const args = { prompt: `${beginning} ${STORY}`, max_tokens: maxTokens, logit_bias: maxTokens > 12 ? EOS_IDS : {} };
  await page.evaluate(async ({ prompt, max_tokens, logit_bias }) => {
    const stream = await engine.completions.create({ prompt, max_tokens, logit_bias, temperature: 0, stream: true });
    const chunks = stream[Symbol.asyncIterator]();
    const first = await chunks.next();
    const read = async () => {
      let text = first.value?.choices[0]?.text ?? "";
      for await (const { choices } of { [Symbol.asyncIterator]: () => chunks }) text += choices[0]?.text ?? "";
      return text;
    };
    globalThis.streamEnd = read().catch(({ code }) => code);
  }, args);
}

const endOfStream = (page: Page) => page.evaluate(() => globalThis.streamEnd);

const gauges = (page: Page) =>
  page.evaluate(async () => {
    const { gpu, tokens } = await engine.kv.stats();
    return { numBusyBlocks: gpu.numBlocks - gpu.numFreeBlocks, numComputed: tokens.computed };
  });

/** Names of the SharedWorkers that run. */
async function workerNames(context: BrowserContext): Promise<string[]> {
  const cdp = await context.browser()?.newBrowserCDPSession();
  const { targetInfos = [] } = (await cdp?.send("Target.getTargets")) ?? {};
  await cdp?.detach();
  return targetInfos.filter(({ type }) => type === "shared_worker").map(({ title }) => title);
}

async function crash(page: Page): Promise<void> {
  const cdp = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent("crash");
  void cdp.send("Page.crash").catch(() => {});
  await crashed;
}

const numDownloads = () => hub.seen(WEIGHTS).filter(({ method }) => method === "GET").length;

test("a build is named by its worker's file", () => {
  const [part, worker] = ["part-shared-worker.js", "worker.js"].map((file) => readFileSync(join(ROOT, "dist", file)));
  expect(String(part)).toContain(createHash("sha256").update(worker).digest("hex").slice(0, 32));
});

test("tabs share one engine", async ({ context, site }) => {
  test.setTimeout(600_000);
  const open = async (): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(`${site.url}/fixtures/blank.html`);
    return page;
  };
  const [first, second] = [await open(), await open()];
  let computed: Answer;

  await test.step("the second tab loads nothing, and finds on the GPU what the first has computed", async () => {
    expect(await start(first)).toContain("compile");
    computed = await ask(first, "Once");
    expect(computed).toMatchObject({ text: /\w/, found: { gpu: 0, host: 0, storage: 0 } });
    expect(await start(second)).toEqual(["ready"]);
    const found = await ask(second, "Once");
    expect(found.text).toBe(computed.text);
    expect(found.found.gpu).toBeGreaterThan(32);
    expect(await workerNames(context)).toHaveLength(1);
  });

  await test.step("another model, option or build is another engine", async () => {
    const names = await workerNames(context);
    const page = await open();
    expect(await start(page, { probe: true, namespace: "another" })).toBe("aborted");
    expect(await start(page, { folder: "nothing" })).toBe("model_file_missing");
    const rebuilt = await open();
    await rebuilt.route("**/part-shared-worker.js", async (route) => {
      const body = await (await route.fetch()).text();
      await route.fulfill({ body: body.replace(/\b[0-9a-f]{32}\b/, "0".repeat(32)), contentType: "text/javascript" });
    });
    expect(await start(rebuilt, { folder: "nothing" })).toBe("model_file_missing");
    expect(new Set(await workerNames(context)).size).toBe(4);
    // A worker ends with its last tab.
    await page.close();
    await rebuilt.close();
    await expect.poll(() => workerNames(context)).toEqual(names);
  });

  await test.step("dispose in one tab ends its requests, and the other's go on", async () => {
    await beginStream(second, "Today", ENDLESS_TOKENS);
    await beginStream(first, "In May", 12);
    await second.evaluate(() => engine.dispose());
    expect(await endOfStream(second)).toBe("disposed");
    const text = await endOfStream(first);
    expect(await ask(first, "In May")).toMatchObject({ text });
    expect(await start(second)).toEqual(["ready"]);
  });

  await test.step("structured output, whose grammar a page has", async () => {
    const content = await second.evaluate(async () => {
      const schema = { type: "array", items: { enum: ["dog", "ball"] }, minItems: 2, maxItems: 2 };
      const { choices } = await engine.chat.completions.create({
        messages: [{ role: "user", content: "Hello!" }],
        response_format: { type: "json_schema", json_schema: { name: "words", schema } },
      });
      return choices[0].message.content;
    });
    expect(JSON.parse(content ?? "")).toEqual([/dog|ball/, /dog|ball/].map((word) => expect.stringMatching(word)));
  });

  await test.step("what a tab asked for ends when it crashes", async () => {
    await beginStream(second, "Long ago", ENDLESS_TOKENS);
    const { numBusyBlocks, numComputed } = await gauges(first);
    expect(numBusyBlocks).toBeGreaterThan(0);
    await crash(second);
    await expect.poll(async () => (await gauges(first)).numBusyBlocks).toBe(0);
    expect((await gauges(first)).numComputed - numComputed).toBeLessThan(ENDLESS_TOKENS / 2);
    expect((await ask(first, "Once")).text).toBe(computed.text);
  });

  await test.step("when the process crashes in which the worker lives, other tabs are told", async () => {
    await first.evaluate(() => engine.kv.flush());
    const third = await open();
    expect(await start(third)).toEqual(["ready"]);
    await beginStream(third, "Long ago", ENDLESS_TOKENS);
    await crash(first);
    expect(await endOfStream(third)).toBe("worker_failed");
    for (const page of [first, second, third]) await page.close();
    await expect.poll(() => workerNames(context)).toEqual([]);
  });

  await test.step("a tab that comes when all have gone finds model and KV in this browser", async () => {
    const numBefore = numDownloads();
    const later = await open();
    const phases = await start(later);
    expect(phases).toContain("compile");
    expect(phases).not.toContain("download");
    expect(numDownloads()).toBe(numBefore);
    const again = await ask(later, "Once");
    expect(again.text).toBe(computed.text);
    expect(again.found.storage).toBeGreaterThan(0);
    await later.evaluate(() => engine.dispose());
  });
});
