import { describe, expect, it } from "vitest";
import { openDawnGpu } from "../testing/gpu";
import { loadTestEngine, TestRequest } from "../testing/test-engine";

const dawn = await openDawnGpu();
const ask = (content: string) => ({ role: "user", content });
const chat = (...messages: { role: string; content: string }[]) => ({ input: { kind: "chat", messages } }) as const;
const usageOf = ({ events }: TestRequest) => {
  const last = events.at(-1);
  return last?.kind === "done" ? last.usage : null;
};

describe.skipIf(!dawn)("turn 2 of a chat", () => {
  it("takes all of turn 1 from the cache, prompt and answer, but for under two blocks", async () => {
    const engine = await loadTestEngine(dawn as GPU);
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
    engine.dispose();
  });
});
