import { afterEach, describe, expect, it, vi } from "vitest";
import type { EngineInfo, GenerateEvent } from "../protocol/messages";
import { FAKE_INFO, FakeEngine, FakeWorker } from "../testing/fake-engine-worker";
import { CairnEngine } from "./cairn-engine";
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionParams } from "./openai-types";
import { WorkerConnection } from "./worker-connection";

const messages = [{ role: "user", content: "Hello" }] as const;
const tools = [
  { type: "function", function: { name: "add", description: "Adds.", parameters: { type: "object" } } },
  { type: "function", function: { name: "get_time" } },
] as const;
const CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>';
const usage = {
  promptTokens: 3,
  completionTokens: 4,
  cachedTokens: 2,
  cachedTokensByTier: { gpu: 2, host: 0, storage: 0 },
};
const timings = { queueMs: 1, timeToFirstTokenMs: 2, totalMs: 3 };

const workers: FakeWorker[] = [];

afterEach(() => {
  for (const worker of workers.splice(0)) worker.terminate();
});

/** One delta a token. */
function eventsOf(
  texts: readonly string[],
  finishReason: "stop" | "length" = "stop",
  isThinking?: true,
): GenerateEvent[] {
  return [
    { kind: "started", promptTokenIds: [2, 7, 8], ...(isThinking && { isThinking }) },
    ...texts.map((text, index) => ({ kind: "delta", text, tokenIds: [index] }) as const),
    { kind: "done", finishReason, usage, timings },
  ];
}

/** An engine whose worker answers every request with `events`. */
async function start(events: readonly GenerateEvent[], info: Partial<EngineInfo> = {}) {
  const all = { ...FAKE_INFO, toolFormat: "hermes", ...info } as const;
  const served = new FakeEngine((engine, { requestId }) => engine.send(requestId, ...events), all);
  const worker = new FakeWorker(async () => served);
  workers.push(worker);
  const connection = new WorkerConnection(worker, null);
  const init = { model: { kind: "url", url: "https://models.test/tiny/" } } as const;
  return { served, engine: new CairnEngine(connection, await connection.init(init, null, null)) };
}

/** The answer, whole and as the chunks of a stream. */
async function ask(engine: CairnEngine, body: Omit<ChatCompletionParams, "messages" | "stream">) {
  const whole: ChatCompletion = await engine.chat.completions.create({ messages, ...body });
  const chunks: ChatCompletionChunk[] = [];
  const stream = await engine.chat.completions.create({ messages, ...body, stream: true });
  for await (const chunk of stream) chunks.push(chunk);
  return { whole, choice: whole.choices[0], chunks, deltas: chunks.map(({ choices }) => choices[0].delta) };
}

const anId = expect.stringMatching(/^[a-z0-9]{9}$/);

describe("tool calls", () => {
  it("are a message of their own, and deltas of a stream", async () => {
    const { engine, served } = await start(eventsOf([CALL.slice(0, 40), CALL.slice(40, 45), CALL.slice(45), ""]));
    const { choice, chunks, deltas } = await ask(engine, { tools, tool_choice: "auto" });
    const call = { id: anId, type: "function", function: { name: "add", arguments: '{"a": 1}' } };
    expect(choice).toEqual({
      index: 0,
      message: { role: "assistant", content: null, refusal: null, tool_calls: [call] },
      logprobs: null,
      finish_reason: "tool_calls",
    });
    expect(deltas).toEqual([
      { role: "assistant" },
      { tool_calls: [{ index: 0, id: anId, type: "function", function: { name: "add", arguments: '{"a"' } }] },
      { tool_calls: [{ index: 0, function: { arguments: ": 1}" } }] },
      {},
    ]);
    expect(chunks.map(({ choices }) => choices[0].finish_reason)).toEqual([null, null, null, "tool_calls"]);
    const functions = [
      { name: "add", description: "Adds.", parameters: { type: "object" } },
      { name: "get_time", description: "", parameters: { type: "object", properties: {} } },
    ];
    expect(served.requests[0]).toMatchObject({
      input: { kind: "chat", messages, tools: functions.map((fn) => ({ type: "function", function: fn })) },
      keepSpecialTokens: true,
    });
  });

  it("stand beside content, and leave a text that was cut short its reason", async () => {
    const { engine } = await start(eventsOf(["Let me see.\n", CALL], "length"));
    const { choice, deltas } = await ask(engine, { tools });
    expect(choice).toMatchObject({ message: { content: "Let me see." }, finish_reason: "length" });
    expect(choice.message.tool_calls).toHaveLength(1);
    expect(deltas[1]).toEqual({ content: "Let me see." });
  });

  it("are pushed back as they came", async () => {
    const { engine, served } = await start(eventsOf([CALL]));
    const { message } = (await ask(engine, { tools })).choice;
    const result = { role: "tool", tool_call_id: message.tool_calls?.[0].id ?? "", content: "2" } as const;
    await engine.chat.completions.create({ messages: [...messages, message, result], tools });
    expect(served.requests.at(-1)?.input).toMatchObject({
      messages: [...messages, { content: "", tool_calls: [{ function: { arguments: { a: 1 } } }] }, { name: "add" }],
    });
  });

  it("are text where none are asked for, and what was held back comes last", async () => {
    const { engine, served } = await start(eventsOf(["A <tool", "_ca"]));
    expect((await ask(engine, { tools })).deltas).toEqual([
      { role: "assistant" },
      { content: "A" },
      { content: " <tool_ca" },
      {},
    ]);
    const none = await ask(engine, { tools, tool_choice: "none" });
    expect(none.choice).toMatchObject({ message: { content: "A <tool_ca" }, finish_reason: "stop" });
    expect(served.requests.at(-1)?.input).not.toHaveProperty("tools");
    expect(served.requests.at(-1)).not.toHaveProperty("keepSpecialTokens");
  });

  it("are forced by a grammar", async () => {
    const { engine, served } = await start(eventsOf([CALL]));
    await ask(engine, { tools, tool_choice: { type: "function", function: { name: "add" } } });
    const param = "tools[0].function.parameters";
    expect(JSON.stringify(served.requests[0].grammar)).toContain(`"param":"${param}"`);
  });

  it("leave the first one alone without parallel_tool_calls", async () => {
    const { engine } = await start(eventsOf([`${CALL}\n${CALL}`]));
    expect((await ask(engine, { tools })).choice.message.tool_calls).toHaveLength(2);
    expect((await ask(engine, { tools, parallel_tool_calls: false })).choice.message.tool_calls).toHaveLength(1);
  });
});

describe("chat_template_kwargs", () => {
  it("reach the template, and must be an object", async () => {
    const { engine, served } = await start(eventsOf(["Hi"]));
    await ask(engine, { chat_template_kwargs: { enable_thinking: false } });
    expect(served.requests[0].input).toEqual({ kind: "chat", messages, templateKwargs: { enable_thinking: false } });
    const call = engine.chat.completions.create({ messages, chat_template_kwargs: [1] as never });
    const data = { param: "chat_template_kwargs" };
    await expect(call).rejects.toMatchObject({ code: "invalid_request", data });
  });
});

describe("thoughts", () => {
  const thinks = { hasReasoning: true };

  it("are reasoning_content, and their tokens are counted", async () => {
    const { engine } = await start(eventsOf(["<think>", "\nHm", ".", "\n", "</think>", "\n\n", "Yes."]), thinks);
    const { whole, choice, chunks, deltas } = await ask(engine, { stream_options: null });
    const message = { role: "assistant", content: "Yes.", refusal: null, reasoning_content: "Hm." };
    expect(choice).toMatchObject({ message, finish_reason: "stop" });
    expect(whole.usage.completion_tokens_details).toEqual({ reasoning_tokens: 5 });
    expect(deltas).toEqual([
      { role: "assistant" },
      { reasoning_content: "Hm" },
      { reasoning_content: "." },
      { content: "Yes." },
      {},
    ]);
    expect(chunks).toHaveLength(5);
  });

  it("are where the text begins if the prompt ends in them, and come before calls", async () => {
    const { engine } = await start(eventsOf(["Hm", "</think>", CALL], "stop", true), thinks);
    const { whole, choice } = await ask(engine, { tools });
    expect(choice.message).toMatchObject({
      content: null,
      reasoning_content: "Hm",
      tool_calls: [{ type: "function" }],
    });
    expect(whole.usage.completion_tokens_details.reasoning_tokens).toBe(2);
  });

  it("are all of a text that ends in them", async () => {
    const { engine } = await start(eventsOf(["<think>Hm", "</th"], "length"), thinks);
    const { choice, deltas } = await ask(engine, {});
    expect(choice).toMatchObject({ message: { content: "", reasoning_content: "Hm</th" }, finish_reason: "length" });
    expect(deltas.slice(1)).toEqual([{ reasoning_content: "Hm" }, { reasoning_content: "</th" }, {}]);
  });

  it("leave an answer without any as it is, and other models' text alone", async () => {
    const plain = await start(eventsOf(["Yes", "."]), thinks);
    const { choice } = await ask(plain.engine, {});
    expect(choice.message).toEqual({ role: "assistant", content: "Yes.", refusal: null });
    const other = await start(eventsOf(["<think>Hm.</think>"]));
    expect((await ask(other.engine, { tools })).choice.message.content).toBe("<think>Hm.</think>");
  });

  it("may come before what response_format asks for", async () => {
    const { engine, served } = await start(eventsOf(["{}"]), thinks);
    await ask(engine, { response_format: { type: "json_object" } });
    expect(served.requests[0]).toMatchObject({ grammar: { type: "or" }, thinkingGrammar: { type: "sequence" } });
  });
});

describe("logprobs and ids of a text that is read", () => {
  it("are those of all its tokens, with the chunk in which they come", async () => {
    const entry = { token: "x", bytes: [120], logprob: -1, textOffset: 0, top: [] };
    const events = eventsOf([CALL.slice(0, 20), CALL.slice(20)]).map((event) =>
      event.kind === "delta" ? { ...event, logprobs: [entry] } : event,
    );
    const { engine } = await start(events);
    const { choice, chunks } = await ask(engine, { tools, logprobs: true, return_token_ids: true });
    expect(choice.logprobs?.content).toHaveLength(2);
    expect(choice.token_ids).toEqual([0, 1]);
    expect(chunks.map(({ choices }) => choices[0].logprobs?.content.length ?? null)).toEqual([null, 1, 1, null]);
    expect(chunks.map(({ choices }) => choices[0].token_ids)).toEqual([[], [0], [1], []]);
    expect(chunks.map(({ choices }) => choices[0].delta)[1]).toEqual({});
  });
});

describe("a part of the package that cannot be fetched", () => {
  it("is an error of the network that names its file", async () => {
    vi.doMock("./chat-extras/chat", () => {
      throw new Error("offline");
    });
    const { engine } = await start(eventsOf(["Hi"]));
    const call = engine.chat.completions.create({ messages, tools });
    await expect(call).rejects.toMatchObject({ code: "network", data: { file: "part-chat.js" } });
    expect((await engine.chat.completions.create({ messages })).choices[0].message.content).toBe("Hi");
  });
});
