import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CairnEngine } from "../api/cairn-engine";
import { WorkerConnection } from "../api/worker-connection";
import { FakeWorker } from "../testing/fake-engine-worker";
import { openDawnGpu } from "../testing/gpu";
import { loadTestEngine, TestRequest } from "../testing/test-engine";
import type { Engine } from "./engine";

const dawn = await openDawnGpu();
const ask = (content: string) => ({ role: "user", content });
const chat = (...messages: { role: string; content: string }[]) => ({ input: { kind: "chat", messages } }) as const;
const usageOf = ({ events }: TestRequest) => {
  const last = events.at(-1);
  return last?.kind === "done" ? last.usage : null;
};
const BLOCK_TOKENS = 16;

describe.skipIf(!dawn)("the prefix cache", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await loadTestEngine(dawn as GPU);
  });
  afterAll(() => engine.dispose());

  it("has all of turn 1 of a chat for turn 2, prompt and answer, but for under two blocks", async () => {
    const question = ask("Tell me a story about a brave fox.");
    const turn1 = await new TestRequest(engine, chat(question)).outcome;
    const turn1Ids = [...(turn1.promptTokenIds ?? []), ...turn1.tokenIds];
    expect([turn1.promptTokenIds?.length, turn1Ids.length]).toEqual([21, 126]);

    const followUp = chat(question, { role: "assistant", content: turn1.text }, ask("What did the fox learn?"));
    const request = new TestRequest(engine, followUp);
    const turn2 = await request.outcome;
    // The answer's text has its own ids again, end of turn included.
    expect(turn2.promptTokenIds?.slice(0, turn1Ids.length)).toEqual(turn1Ids);
    expect(usageOf(request)).toMatchObject({ promptTokens: 144, cachedTokens: 112 });
    expect(turn1Ids.length - 112).toBeLessThan(32);

    const cold = new TestRequest(engine, { ...followUp, usePrefixCache: false });
    expect((await cold.outcome).tokenIds).toEqual(turn2.tokenIds);
    expect(usageOf(cold)).toMatchObject({ promptTokens: 144, cachedTokens: 0 });
  });

  it("has what was appended to a session for its next prompt, and for a clone's", async () => {
    const worker = new FakeWorker(async () => engine);
    const connection = new WorkerConnection(worker, null);
    const init = { model: { kind: "files", files: [] } } as const;
    const page = new CairnEngine(connection, await connection.init(init, null, null));
    const session = await page.session({ system: "Tell short stories.", temperature: 0, max_tokens: 4 });
    const pages =
      "Once there was a girl who had a red ball and a small dog. Every day she went to the park with the dog. ";
    await session.append(pages.repeat(2).trim());
    const numAppended = session.contextUsage;
    expect(numAppended).toBeGreaterThan(3 * BLOCK_TOKENS);
    const numMore = await session.measureContextUsage("What did the dog do?");
    const clone = await session.clone();

    const text = await session.prompt("What did the dog do?");
    const usage = session.lastUsage!;
    const { input } = chat(ask("A"));
    const numStart = engine.countTokens(input) - engine.countTokens({ ...input, addGenerationPrompt: false });
    expect(numStart).toBeGreaterThan(0);
    expect(usage.prompt_tokens).toBe(numAppended + numMore + numStart);
    // Where the next text goes on, the last turn's end is another's.
    const numKept = BLOCK_TOKENS * Math.floor((numAppended - 2) / BLOCK_TOKENS);
    expect(usage.prompt_tokens_details.cached_tokens).toBe(numKept);
    expect(session.messages.at(-1)).toEqual({ role: "assistant", content: text });

    expect(await clone.prompt("What did the dog do?")).toBe(text);
    const shared = clone.lastUsage!.prompt_tokens_details.cached_tokens;
    expect(usage.prompt_tokens - shared).toBeLessThanOrEqual(BLOCK_TOKENS);
    worker.terminate();
  });
});
