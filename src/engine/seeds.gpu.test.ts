import { describe, expect, it } from "vitest";
import type { EngineInit, GenerateRequest } from "../protocol/messages";
import type { LogitsObserver } from "../runner/gpu-model-runner";
import { openDawnGpu } from "../testing/gpu";
import { logitRows } from "../testing/logit-rows";
import { expectServing, GREETING, loadTestEngine, OTHER_CASES, TestRequest } from "../testing/test-engine";
import type { Engine } from "./engine";

const dawn = await openDawnGpu();

const NUM_TOKENS = 24;
/** All kernels, as by default, and every prompt computed. */
const COLD = { useGemvUpToTokens: 8, usePrefixCache: false };
const STORY = { kind: "chat", messages: [{ role: "user", content: "Tell me a story about a brave fox." }] } as const;

function sampled(seed: number): Partial<GenerateRequest> {
  const sampling = { temperature: 0.9, topP: 0.95, topK: null, minP: null, seed: [seed, 0] } as const;
  return { input: STORY, maxTokens: NUM_TOKENS, sampling };
}

async function sampleIds(engine: Engine, seed: number): Promise<readonly number[]> {
  return (await new TestRequest(engine, sampled(seed)).outcome).tokenIds;
}

/** Requests of other lengths and ends, so that the batch changes its shape while the sampled one runs. */
function startOthers(engine: Engine): Promise<unknown> {
  const greedy = [GREETING, ...OTHER_CASES.slice(0, 2)].map(({ input }) => new TestRequest(engine, { input }));
  return Promise.all([...greedy, new TestRequest(engine, sampled(99))].map(({ outcome }) => outcome));
}

/** An engine that remembers the logits of each request. */
async function loadObserved(engine: EngineInit["engine"]) {
  const logits = new Map<string, Float32Array[]>();
  const observeLogits: LogitsObserver = (output, all) => {
    for (const [requestId, row] of logitRows(output, all)) {
      logits.set(requestId, [...(logits.get(requestId) ?? []), row]);
    }
  };
  return { engine: await loadTestEngine(dawn as GPU, { engine }, { observeLogits }), logits };
}

describe.skipIf(!dawn)("a sampled text", () => {
  /**
   * Not only the ids: every bit of the logits. Single-token queries always go through GEMV and split attention, chunks
   * through GEMM and tiled attention, and neither adds up in an order that depends on the rest of the batch.
   */
  it("repeats with its seed whatever else runs, and however its prompt is cut", async () => {
    const { engine, logits } = await loadObserved(COLD);
    const alone = new TestRequest(engine, sampled(7));
    const { tokenIds } = await alone.outcome;
    expect(tokenIds.length).toBe(NUM_TOKENS);
    const others = startOthers(engine);
    const beside = new TestRequest(engine, sampled(7));
    expect((await beside.outcome).tokenIds).toEqual(tokenIds);
    await others;
    expect(logits.get(beside.requestId)).toEqual(logits.get(alone.requestId));
    const otherSeeds = await Promise.all([sampleIds(engine, 8), sampleIds(engine, 9)]);
    expect(new Set([tokenIds, ...otherSeeds].map(String)).size).toBe(3);
    await expectServing(engine);
    engine.dispose();

    for (const maxPrefillChunkTokens of [7, 16]) {
      const chunked = await loadObserved({ ...COLD, maxPrefillChunkTokens });
      const request = new TestRequest(chunked.engine, sampled(7));
      expect((await request.outcome).tokenIds).toEqual(tokenIds);
      expect(chunked.logits.get(request.requestId)).toEqual(logits.get(alone.requestId));
      chunked.engine.dispose();
    }
  });

  it("is another each time without a seed", async () => {
    const engine = await loadTestEngine(dawn as GPU);
    const unseeded = { temperature: 1, topP: 1, topK: null, minP: null, seed: null };
    const requests = [1, 2].map(() => new TestRequest(engine, { ...sampled(7), sampling: unseeded }).outcome);
    const [first, second] = await Promise.all(requests);
    expect(first.tokenIds).not.toEqual(second.tokenIds);
    engine.dispose();
  });
});
