import type { ChatCompletionCreateParamsNonStreaming } from "openai/resources/chat/completions";
import type { CompletionCreateParamsNonStreaming } from "openai/resources/completions";
import { afterEach, describe, expect, it } from "vitest";
import type { GenerateEvent } from "../protocol/messages";
import { FAKE_INFO, FakeEngine, FakeWorker } from "../testing/fake-engine-worker";
import { CairnEngine } from "./cairn-engine";
import { WorkerConnection } from "./worker-connection";

const usage = {
  promptTokens: 3,
  completionTokens: 2,
  cachedTokens: 0,
  cachedTokensByTier: { gpu: 0, host: 0, storage: 0 },
};
const ANSWER: GenerateEvent[] = [
  { kind: "started", promptTokenIds: [2, 7, 8] },
  { kind: "delta", text: "Hi", tokenIds: [4], logprobs: [] },
  { kind: "done", finishReason: "stop", usage, timings: { queueMs: 1, timeToFirstTokenMs: 2, totalMs: 3 } },
];

const workers: FakeWorker[] = [];

afterEach(() => {
  for (const worker of workers.splice(0)) worker.terminate();
});

async function start() {
  const info = { ...FAKE_INFO, toolFormat: "hermes" } as const;
  const served = new FakeEngine((engine, { requestId }) => engine.send(requestId, ...ANSWER), info);
  const worker = new FakeWorker(async () => served);
  workers.push(worker);
  const connection = new WorkerConnection(worker, null);
  const init = { model: { kind: "url", url: "https://models.test/tiny/" } } as const;
  return { served, engine: new CairnEngine(connection, await connection.init(init, null, null)) };
}

/** What a field does: it is seen in the worker's request, or in the answer; it is documented to do nothing; or it is refused by name. */
type Effect =
  | { readonly value: unknown; readonly beside?: object; readonly request: object }
  | { readonly value: unknown; readonly beside?: object; readonly answer: object }
  | { readonly value: unknown; readonly beside?: object; readonly isStream: true }
  | { readonly value: unknown; readonly hasNone: true }
  | { readonly value: unknown; readonly refused: "unsupported_parameter" };

const refused = (value: unknown) => ({ value, refused: "unsupported_parameter" }) as const;
const none = (value: unknown) => ({ value, hasNone: true }) as const;
const sampling = (name: string, value: unknown, seen: unknown = value) => ({
  value,
  request: { sampling: { [name]: seen } },
});
const tool = { type: "function", function: { name: "add" } } as const;
const definition = { type: "function", function: { name: "add", parameters: { type: "object", properties: {} } } };

/** Fields of both bodies. */
const COMMON = {
  model: { value: "tiny", answer: { model: "tiny" } },
  frequency_penalty: sampling("frequencyPenalty", 0.5),
  presence_penalty: sampling("presencePenalty", 0.5),
  logit_bias: sampling("logitBias", { 7: 1 }, new Map([[7, 1]])),
  max_tokens: { value: 9, request: { maxTokens: 9 } },
  n: { value: 2, answer: { choices: [{ index: 0 }, { index: 1 }] } },
  seed: sampling("seed", 7, [7, 0]),
  stop: { value: "x", request: { stop: ["x"] } },
  stream: { value: true, isStream: true },
  stream_options: { value: { include_usage: true }, beside: { stream: true }, isStream: true },
  temperature: sampling("temperature", 0.5),
  top_p: sampling("topP", 0.5),
  user: none("me"),
} satisfies Record<string, Effect>;

/** The types see to it that no field of OpenAI's client is missing. */
const CHAT: Record<keyof ChatCompletionCreateParamsNonStreaming, Effect> = {
  ...COMMON,
  messages: {
    value: [{ role: "user", content: "Bye" }],
    request: { input: { kind: "chat", messages: [{ role: "user", content: "Bye" }] } },
  },
  audio: refused({ voice: "alloy", format: "wav" }),
  function_call: refused("auto"),
  functions: refused([{ name: "add" }]),
  logprobs: { ...sampling("numLogprobs", true, 0) },
  max_completion_tokens: { value: 9, request: { maxTokens: 9 } },
  metadata: none({ a: "b" }),
  modalities: refused(["text"]),
  moderation: refused({ model: "omni" }),
  parallel_tool_calls: {
    value: false,
    beside: { tools: [tool], tool_choice: "required" },
    request: { grammar: { content: { stop_after_first: true } } },
  },
  prediction: refused({ type: "content", content: "Hi" }),
  prompt_cache_key: refused("a"),
  prompt_cache_options: refused({}),
  prompt_cache_retention: refused("24h"),
  reasoning_effort: refused("low"),
  response_format: {
    value: { type: "json_object" },
    request: { grammar: { type: "json_schema", json_schema: { type: "object" } } },
  },
  safety_identifier: refused("a"),
  service_tier: none("auto"),
  store: none(true),
  tool_choice: { value: "required", beside: { tools: [tool] }, request: { grammar: { type: "tag" } } },
  tools: { value: [tool], request: { input: { tools: [definition] }, keepSpecialTokens: true } },
  top_logprobs: { ...sampling("numLogprobs", 2), beside: { logprobs: true } },
  verbosity: refused("low"),
  web_search_options: refused({}),
};

const COMPLETION: Record<keyof CompletionCreateParamsNonStreaming, Effect> = {
  ...COMMON,
  prompt: { value: [2, 7], request: { input: { kind: "tokens", tokenIds: [2, 7] } } },
  best_of: refused(2),
  echo: refused(true),
  logprobs: sampling("numLogprobs", 3),
  suffix: refused("."),
};

const ENDPOINTS = [
  ["chat.completions", { messages: [{ role: "user", content: "Hello" }] }, CHAT],
  ["completions", { prompt: "Once" }, COMPLETION],
] as const;

describe.each(ENDPOINTS)("each field of OpenAI's body: %s", (endpoint, least, table) => {
  it.each(Object.entries<Effect>(table))("%s", async (field, effect) => {
    const { engine, served } = await start();
    const create = (body: object): Promise<unknown> =>
      endpoint === "completions"
        ? engine.completions.create(body as never)
        : engine.chat.completions.create(body as never);
    const beside = "beside" in effect ? effect.beside : {};
    const call = create({ ...least, ...beside, [field]: effect.value });
    if ("refused" in effect) {
      await expect(call).rejects.toMatchObject({ code: effect.refused, data: { param: field } });
      expect(served.requests).toEqual([]);
      return;
    }
    const answer = await call;
    await create({ ...least, ...beside });
    const without = { ...served.requests.at(-1), requestId: "" };
    if ("request" in effect) {
      expect(served.requests[0]).toMatchObject(effect.request);
      expect(without).not.toMatchObject(effect.request);
    } else if ("answer" in effect) expect(answer).toMatchObject(effect.answer);
    else if ("isStream" in effect) expect(await lastUsage(answer)).toBe(field === "stream_options" ? 3 : undefined);
    else expect({ ...served.requests[0], requestId: "" }).toEqual(without);
  });
});

/** Prompt tokens that the stream's last chunk tells. */
async function lastUsage(stream: unknown): Promise<number | undefined> {
  let last: { readonly usage?: { readonly prompt_tokens: number } | null } | undefined;
  for await (const chunk of stream as AsyncIterable<typeof last>) last = chunk;
  return last?.usage?.prompt_tokens;
}
