import { join } from "node:path";
import type { Page } from "@playwright/test";
import { ROOT } from "../scripts/project.mjs";
import { type StaticServer, startStaticServer } from "../scripts/static-server.mjs";
import { CLIENTS_PAGE, CLUSTER_PAGE, TEST_PAGES_DIR } from "./build-test-pages";
import type { Target } from "./fixtures/openai-clients";
import { aiSdkSuite } from "./openai/ai-sdk-suite";
import { chatSuite } from "./openai/chat-suite";
import { type StandIn, startStandIn } from "./openai/stand-in/server";
import { toolsSuite } from "./openai/tools-suite";
import { SHORT_MODEL } from "./short-model";
import { expect, test } from "./test";

declare global {
  var connect: (target: Target) => Promise<void>;
}

/** With `enable_thinking` the prompt ends within thoughts. */
const TEMPLATE =
  "{{ bos_token }}{% for message in messages %}" +
  "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\n' + (message.content or '') + '<end_of_turn>\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}" +
  "{% if enable_thinking %}{{ '<think>\n' }}{% endif %}{% endif %}";

let standIn: StandIn;
let server: StaticServer;
let page: Page;
const hosts = new Set<string>();

test.describe.configure({ timeout: 300_000 });

test.beforeAll(async ({ browser }) => {
  standIn = await startStandIn();
  server = await startStaticServer({
    mounts: { "/": TEST_PAGES_DIR, "/dist/": join(ROOT, "dist"), "/model/": SHORT_MODEL },
  });
  page = await browser.newPage();
  page.context().on("request", (request) => hosts.add(new URL(request.url()).hostname));
  await page.goto(`${server.url}/${CLIENTS_PAGE}`);
});

test.afterAll(async () => {
  await page?.close();
  await server?.close();
  await standIn?.close();
  // The engine's base URL is of no host that there is.
  expect([...hosts].filter((host) => host !== "localhost" && host !== "")).toEqual([]);
});

async function connectToEngine(template: string): Promise<void> {
  const packageUrl = "/dist/index.js";
  const { createEngine }: typeof import("../src/index") = await import(packageUrl);
  const names = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"];
  const load = async (name: string) => new File([await (await fetch(`/model/${name}`)).blob()], name);
  const files = await Promise.all([...names, "tokenizer_config.json"].map(load));
  const engine = await createEngine({
    model: [...files, new File([template], "chat_template.jinja")],
    engine: { useSelfTest: false, useStorage: false, useGemvUpToTokens: 1 },
  });
  await connect({ baseURL: "https://engine.invalid/v1", fetch: engine.fetch });
}

/** The clients and what they are asked are the same; only `fetch` and the base URL are not. */
const TARGETS = [
  {
    name: "a server of the same API",
    connect: () => page.evaluate((baseURL) => connect({ baseURL }), standIn.baseURL),
    numAborted: () => standIn.numAborted,
  },
  { name: "engine.fetch", connect: () => page.evaluate(connectToEngine, TEMPLATE), numAborted: () => null },
];

for (const target of TARGETS) {
  test.describe(`against ${target.name}:`, () => {
    test.beforeAll(() => target.connect());
    test.describe("the openai package:", () => {
      chatSuite(() => page, target);
      toolsSuite(() => page);
    });
    test.describe("the AI SDK:", () => aiSdkSuite(() => page));
  });
}

test("the example: a server is asked only where the user says so, and each answer tells whose it is", async ({
  page,
  pageErrors,
}) => {
  const asked: string[] = [];
  page.on("request", (request) => {
    if (request.url().startsWith(standIn.baseURL)) asked.push(request.method());
  });
  await page.goto(`${server.url}/${CLUSTER_PAGE}?server=${encodeURIComponent(standIn.baseURL)}`);
  await expect(page.getByLabel("The model in this page")).toBeChecked();
  expect(asked).toEqual([]);
  await page.getByLabel("A server").check();
  await page.getByRole("button", { name: "Ask" }).click();
  const { host } = new URL(standIn.baseURL);
  await expect(page.locator("#answers li")).toHaveText(new RegExp(`^toy/words-1B, on ${host}: the `));
  expect(asked).toContain("POST");
  await page.reload();
  await expect(page.getByLabel("The model in this page")).toBeChecked();
  expect(pageErrors).toEqual([]);
});
