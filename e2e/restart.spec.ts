import { readdir } from "node:fs/promises";
import type { BrowserContext, Page } from "@playwright/test";
import type { KvStats, TokensByTier } from "../src/index";
import { Profile, SQLITE_ARGS } from "./persistent-browser";
import { expect, test } from "./test";

declare global {
  var cairn: typeof import("../src/index");
  var engine: import("../src/index").CairnEngine;
}

/** What a request gave, and where its prompt's KV came from. */
interface Answer {
  readonly tokenIds: readonly number[];
  readonly text: string;
  readonly promptTokens: number;
  readonly found: TokensByTier;
}

interface Message {
  readonly role: "user" | "assistant";
  readonly content: string;
}

const MODEL = "/short-model/";
/** Tokens of a chunk: half the window of the embedded model. */
const CHUNK_TOKENS = 32;
const NUM_GROUPS = 3;
const STORY =
  "Once there was a girl who had a red ball and a small dog. Every day she went to the park with the dog and threw the ball. " +
  "One day the ball rolled under a big tree, and the dog could not find it. The girl looked and looked. Then a bird came down " +
  "from the tree and sat on the ball.";
const FIRST: readonly Message[] = [{ role: "user", content: `${STORY} Tell me what the girl said to the bird.` }];
const QUESTION = "And what did the dog do then?";
/** As the models write it that think: what is between the tags is not shown to them again. */
const STRIPPING_TEMPLATE =
  "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}" +
  "{{ message.content.split('</think>')[-1] }}{{ '<end_of_turn>\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}";

async function openPage(context: BrowserContext, siteUrl: string): Promise<Page> {
  const page = context.pages()[0] ?? (await context.newPage());
  await page.goto(`${siteUrl}/fixtures/blank.html`);
  await importPackage(page);
  return page;
}

async function importPackage(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const packageUrl = "/dist/index.js";
    globalThis.cairn = await import(packageUrl);
  });
}

/** `template` takes the place of the model's own. */
async function start(page: Page, namespace: string, template: string | null = null): Promise<void> {
  await page.evaluate(
    async ({ model, namespace, template }) => {
      const names = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"];
      const files = await Promise.all(
        [...names, "tokenizer_config.json"].map(
          async (name) => new File([await (await fetch(model + name)).blob()], name),
        ),
      );
      if (template !== null) files.push(new File([template], "chat_template.jinja"));
      globalThis.engine = await cairn.createEngine({
        model: files,
        namespace,
        engine: { loadPolicy: "always", useSelfTest: false, useGemvUpToTokens: 1 },
      });
    },
    { model: MODEL, namespace, template },
  );
}

function ask(
  page: Page,
  messages: readonly Message[],
  kv: { cache?: boolean; store?: "ram" | "none" } = {},
): Promise<Answer> {
  return page.evaluate(
    async ({ messages, kv }) => {
      const { choices, usage } = await engine.chat.completions.create({
        messages,
        kv,
        max_tokens: 24,
        temperature: 0,
        return_token_ids: true,
      });
      const [{ message, token_ids }] = choices;
      return {
        tokenIds: token_ids ?? [],
        text: message.content ?? "",
        promptTokens: usage.prompt_tokens,
        found: usage.prompt_tokens_details.cached_tokens_by_tier,
      };
    },
    { messages, kv },
  );
}

/** Resolves with its id when its KV is durable too. */
function saveSession(page: Page, messages: readonly Message[]): Promise<string> {
  return page.evaluate(async (messages) => {
    const session = await engine.session({ messages, temperature: 0, max_tokens: 8 });
    return session.save("talk");
  }, messages);
}

/** Restores it, asks it, and deletes what is saved. */
function continueSession(page: Page, question: string) {
  return page.evaluate(async (question) => {
    const saved = (await engine.savedSessions()).map(({ id }) => id);
    const session = await engine.restoreSession("talk");
    const before = session.messages.length;
    const text = await session.prompt(question);
    await engine.deleteSession("talk");
    const found = session.lastUsage?.prompt_tokens_details.cached_tokens_by_tier;
    return { saved, before, text, found, left: await engine.savedSessions() };
  }, question);
}

const stats = (page: Page): Promise<KvStats> => page.evaluate(() => engine.kv.stats());
const flush = (page: Page): Promise<void> => page.evaluate(() => engine.kv.flush());
/** Tokens of the chunks that lie whole before the prompt's last token, which is always computed. */
const storable = ({ promptTokens }: Answer) => CHUNK_TOKENS * Math.floor((promptTokens - 1) / CHUNK_TOKENS);

/** With it the embedded model's own turns have the same texts. */
const SECOND = (first: Answer): readonly Message[] => [
  ...FIRST,
  { role: "assistant", content: `<think>Let me see.</think>${first.text}` },
  { role: "user", content: QUESTION },
];

const IS_SOAK = Boolean(process.env.CAIRN_SOAK);
/** One has a folder for an origin, the other a file for each database: that of KV and that of sessions. */
const BACK_ENDS = [
  { name: "LevelDB", args: [] as string[], files: /\.leveldb\/CURRENT$/, numFiles: 1 },
  { name: "SQLite", args: SQLITE_ARGS, files: /IndexedDB\/http_[^/]*\/[A-Z2-7]{52}$/, numFiles: 2 },
];
/** Between an answer and a reload. */
const RELOAD_DELAYS_MS = IS_SOAK ? [0, 100, 2000] : [0];

for (const { name, args, files, numFiles } of BACK_ENDS) {
  test(`a prompt of before the browser's end is not computed again, over ${name}`, async ({ site }) => {
    test.setTimeout(400_000);
    const profile = await Profile.make(args);
    const first = await profile.visit(async (context) => {
      const page = await openPage(context, site.url);
      await start(page, "restart", STRIPPING_TEMPLATE);
      const answer = await ask(page, FIRST);
      expect(answer.found).toEqual({ gpu: 0, host: 0, storage: 0 });
      expect(await saveSession(page, [...FIRST, { role: "assistant", content: answer.text }])).toBe("talk");
      const { storage } = await stats(page);
      expect(storage).toMatchObject({ state: "ready", notYetDurableBytes: 0, lastFault: null });
      expect(storage?.durableBytes).toBeGreaterThan(0);
      return answer;
    });
    const written = await readdir(profile.dir, { recursive: true });
    expect(written.filter((file) => files.test(file))).toHaveLength(numFiles);

    await profile.visit(async (context) => {
      const page = await openPage(context, site.url);
      await start(page, "restart", STRIPPING_TEMPLATE);
      const again = await ask(page, FIRST);
      expect(again.tokenIds).toEqual(first.tokenIds);
      expect(again.found).toEqual({ gpu: 0, host: 0, storage: storable(first) });
      const { tokens, loads } = await stats(page);
      expect(tokens).toMatchObject({ storage: storable(first), host: 0, gpu: 0 });
      // A step that was in flight when the answer ended may have fed its last id as well.
      const numComputed = first.promptTokens + first.tokenIds.length - storable(first);
      expect([numComputed - 1, numComputed]).toContain(tokens.computed);
      expect(loads.numStarted).toBe(1);
      await flush(page);

      // As after another restart: storage alone has it. The question, and the answer that the thought was taken out of.
      await page.evaluate(() => engine.kv.clear({ tiers: ["gpu", "host"] }));
      const turn = await ask(page, SECOND(first));
      expect(turn.found).toMatchObject({ gpu: 0, host: 0 });
      expect(turn.found.storage).toBeGreaterThanOrEqual(storable(first));
      expect((await ask(page, SECOND(first), { cache: false })).tokenIds).toEqual(turn.tokenIds);

      await flush(page);
      await page.evaluate(() => engine.kv.clear({ tiers: ["gpu", "host"] }));
      const talk = await continueSession(page, QUESTION);
      expect(talk).toMatchObject({ saved: ["talk"], before: 2, left: [] });
      // From storage alone, and before it was asked: RAM and GPU were empty.
      expect(talk.found?.host).toBe(0);
      expect(talk.found?.gpu).toBeGreaterThanOrEqual(storable(first));
      expect(turn.text.slice(0, talk.text.length)).toBe(talk.text);
    });
    await profile.delete();
  });
}

test("a reload right after the answer, or later, keeps at least what was durable", async ({ site }) => {
  test.setTimeout(400_000);
  const profile = await Profile.make();
  await profile.visit(async (context) => {
    const page = await openPage(context, site.url);
    await start(page, "reload");
    for (const delayMs of RELOAD_DELAYS_MS) {
      const messages = [{ role: "user", content: `Story ${delayMs}. ${STORY}` }] as const;
      const before = await ask(page, messages);
      const { storage, host } = await stats(page);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await page.reload();
      await importPackage(page);
      await start(page, "reload");
      const after = await ask(page, messages);
      expect(after.tokenIds).toEqual(before.tokenIds);
      expect(after.found).toMatchObject({ gpu: 0, host: 0 });
      const later = (await stats(page)).storage;
      expect(later?.lastFault).toBe(null);
      expect(later?.durableBytes).toBeGreaterThanOrEqual(storage!.durableBytes);
      // Chunks are written in the order of the text, those of all groups together; the first text is alone there.
      const numDurable = storage!.durableBytes / host!.chunkBytes / NUM_GROUPS;
      const isAll = storage!.notYetDurableBytes === 0 || delayMs === 2000;
      const least = isAll ? storable(before) : delayMs === 0 ? CHUNK_TOKENS * Math.floor(numDurable) : 0;
      expect(after.found.storage).toBeGreaterThanOrEqual(Math.min(least, storable(before)));
    }
  });
  await profile.delete();
});
