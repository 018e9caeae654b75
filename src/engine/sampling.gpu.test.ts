import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TokenHistory } from "../sampling/adjust-logits";
import { computeLogprobs } from "../sampling/logprobs";
import { sampleToken } from "../sampling/sample";
import { NEUTRAL_SAMPLING, type SamplingParams } from "../sampling/sampling-params";
import { filesSource } from "../testing/demo-model";
import { engineOver, type OpenEngine, untilIdle } from "../testing/engine-over";
import { openDawnGpu } from "../testing/gpu";
import { loadPart } from "../testing/lazy-parts";
import { logitRows } from "../testing/logit-rows";
import { DEMO_MODEL, TestRequest } from "../testing/test-engine";
import { type LoadedParts, loadEngineParts } from "./load-engine";

const dawn = await openDawnGpu();
const STORY = { kind: "chat", messages: [{ role: "user", content: "Tell me a story about a brave fox." }] } as const;
const NUM_TOKENS = 40;

const GREEDY: SamplingParams = { ...NEUTRAL_SAMPLING, temperature: 0 };
const PENALIZED = { presencePenalty: 0.7, frequencyPenalty: 0.4 };
/** The first three draw other ids for their penalties, the last two have none. */
const SETTINGS: readonly SamplingParams[] = [
  { ...GREEDY, repetitionPenalty: 1.4, numLogprobs: 5 },
  { ...NEUTRAL_SAMPLING, ...PENALIZED, temperature: 0.8, topP: 0.95, seed: [7, 0] },
  {
    ...GREEDY,
    ...PENALIZED,
    repetitionPenalty: 0.9,
    // The first three end the text or say nothing.
    logitBias: new Map([
      [0, -100],
      [1, -100],
      [5, -100],
      [300, 12],
    ]),
    numLogprobs: 0,
  },
  { ...NEUTRAL_SAMPLING, topK: 50, seed: [8, 0], numLogprobs: 20 },
  GREEDY,
];

let parts: LoadedParts;
/** By request and position; of a position that was computed twice, those of the last time. */
const logitsAt = new Map<string, Float32Array>();

beforeAll(async () => {
  if (!dawn) return;
  parts = await loadEngineParts(
    { model: filesSource(DEMO_MODEL), engine: { useGemvUpToTokens: 1 } },
    {
      gpu: dawn,
      onProgress: () => {},
      loadPart,
      signal: new AbortController().signal,
      observeLogits(output, logits) {
        const entries = output.scheduled.filter(({ samples }) => samples);
        logitRows(output, logits).forEach(([requestId, row], index) => {
          const { startPosition, numTokens } = entries[index];
          logitsAt.set(`${requestId}@${startPosition + numTokens}`, row);
        });
      },
    },
  );
});
afterAll(() => parts?.runner.dispose());

/** The text so far at each of its tokens, and the logits there. */
async function stepsOf({ requestId, outcome }: TestRequest) {
  const { promptTokenIds, tokenIds, end } = await outcome;
  expect([promptTokenIds?.length, end]).toEqual([21, "length"]);
  return tokenIds.map((tokenId, index) => {
    const history: TokenHistory = { promptTokenIds: promptTokenIds!, outputTokenIds: tokenIds.slice(0, index) };
    const position = 21 + index;
    return { tokenId, position, history, logits: logitsAt.get(`${requestId}@${position}`)! };
  });
}

/** Every id is what the reference draws from the logits that were there. */
async function expectSampled(request: TestRequest, sampling: SamplingParams): Promise<void> {
  for (const { tokenId, position, history, logits } of await stepsOf(request)) {
    expect([position, tokenId]).toEqual([position, sampleToken(logits, sampling, position, history)]);
  }
}

async function expectLogprobs(request: TestRequest, numTop: number): Promise<void> {
  const entries = request.events.flatMap((event) => (event.kind === "delta" ? (event.logprobs ?? []) : []));
  const bytesOf = (id: number) => [...parts.tokenizer.tokenBytes(id)];
  const steps = await stepsOf(request);
  expect(entries.map(({ bytes }) => bytes)).toEqual(steps.map(({ tokenId }) => bytesOf(tokenId)));
  steps.forEach(({ tokenId, logits }, index) => {
    const { logprob, top } = entries[index];
    const expected = computeLogprobs(logits, tokenId, numTop);
    expect(logprob).toBeCloseTo(expected.logprob, 4);
    expect(top.map(({ bytes }) => bytes)).toEqual(expected.top.map(([id]) => bytesOf(id)));
    for (const [rank, entry] of top.entries()) expect(entry.logprob).toBeCloseTo(expected.top[rank][1], 4);
  });
}

const start = ({ engine }: OpenEngine, sampling: SamplingParams) =>
  new TestRequest(engine, { input: STORY, maxTokens: NUM_TOKENS, sampling });

describe.skipIf(!dawn)("penalties, logit bias and logprobs on the GPU", () => {
  it("requests of different settings in one batch, two steps in flight: each as the reference says", async () => {
    const open = engineOver(parts, { usePrefixCache: false });
    const requests = SETTINGS.map((sampling) => start(open, sampling));
    for (const [index, sampling] of SETTINGS.entries()) {
      await expectSampled(requests[index], sampling);
      if (sampling.numLogprobs !== null) await expectLogprobs(requests[index], sampling.numLogprobs);
    }
    expect(requests[4].events.filter((event) => "logprobs" in event)).toEqual([]);
    const outcomes = await Promise.all(requests.map(({ outcome }) => outcome));
    expect(new Set(outcomes.map(({ text }) => text)).size).toBe(SETTINGS.length);
    await untilIdle(open.scheduler);
  });

  it("a request that is preempted and comes back keeps its counts", async () => {
    const open = engineOver(parts, { usePrefixCache: false, numBlocks: 25 });
    const requests = SETTINGS.slice(0, 3).map((sampling) => start(open, sampling));
    for (const [index, request] of requests.entries()) await expectSampled(request, SETTINGS[index]);
    expect(open.scheduler.stats.numPreemptions).toBeGreaterThan(0);
    await untilIdle(open.scheduler);
  });

  it("a row's counts and biases are none of the next request's", async () => {
    const open = engineOver(parts, { usePrefixCache: false, maxNumRunning: 1 });
    for (const sampling of [SETTINGS[2], GREEDY, { ...GREEDY, repetitionPenalty: 1.2 }, SETTINGS[1]]) {
      await expectSampled(start(open, sampling), sampling);
    }
    await untilIdle(open.scheduler);
  });
});
