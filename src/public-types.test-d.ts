/** Types of the public surface, as `tsc` sees them: nothing here runs. */
import type { OpenAICompatibleProviderSettings } from "@ai-sdk/openai-compatible";
import type OpenAI from "openai";
import type { ClientOptions } from "openai";
import { describe, expectTypeOf, test } from "vitest";
import type {
  CairnEngine,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionParams,
  ChatMessageParam,
  ChatMessageResult,
  Completion,
  CompletionChunk,
  CompletionStream,
  CreateEngineOptions,
  ErrorCode,
  FunctionTool,
  JsonSchema,
  ModelList,
  PlanMemoryOptions,
  ResponseFormatParam,
  ToolCall,
  ToolChoice,
} from "./index";

declare const engine: CairnEngine;
declare const isStreamed: boolean;

/** Ours promise not to change an answer, OpenAI's do not; apart from that they are to agree. */
type Writable<T> = T extends readonly [infer First, ...infer Rest]
  ? [Writable<First>, ...Writable<Rest>]
  : T extends readonly (infer Item)[]
    ? Writable<Item>[]
    : T extends object
      ? { -readonly [K in keyof T]: Writable<T[K]> }
      : T;

describe("create", () => {
  const messages = [{ role: "user", content: "Hello!" }] as const;
  const { completions } = engine.chat;

  test("a chat's answer is whole unless a stream is asked for", () => {
    expectTypeOf(completions.create({ messages })).resolves.toEqualTypeOf<ChatCompletion>();
    expectTypeOf(completions.create({ messages, stream: null })).resolves.toEqualTypeOf<ChatCompletion>();
    const stream = completions.create({ messages, stream: true });
    expectTypeOf(stream).resolves.toEqualTypeOf<CompletionStream<ChatCompletionChunk>>();
    expectTypeOf<Awaited<typeof stream>>().toExtend<AsyncIterable<ChatCompletionChunk>>();
  });

  test("where it is decided at run time it is either", () => {
    const either = completions.create({ messages, stream: isStreamed });
    expectTypeOf(either).resolves.toEqualTypeOf<ChatCompletion | CompletionStream<ChatCompletionChunk>>();
  });

  test("completions likewise", () => {
    expectTypeOf(engine.completions.create({ prompt: [1, 2] })).resolves.toEqualTypeOf<Completion>();
    const stream = engine.completions.create({ prompt: ["a", "b"], stream: true });
    expectTypeOf(stream).resolves.toEqualTypeOf<CompletionStream<CompletionChunk>>();
  });

  test("fields that are not there, and impossible values, are errors", () => {
    // @ts-expect-error: messages are missing
    completions.create({});
    // @ts-expect-error: OpenAI's field for audio
    completions.create({ messages, modalities: ["audio"] });
    // @ts-expect-error: legacy functions
    completions.create({ messages: [{ role: "function", name: "f", content: "" }] });
    // @ts-expect-error: an image
    completions.create({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "" } }] }] });
    // @ts-expect-error: a custom tool
    completions.create({ messages, tools: [{ type: "custom", custom: { name: "f" } }] });
    // @ts-expect-error: prompts are text or ids
    engine.completions.create({ prompt: 1 });
  });
});

test("a role says what else a message has", () => {
  expectTypeOf<ChatMessageParam["role"]>().toEqualTypeOf<"system" | "developer" | "user" | "assistant" | "tool">();
  type ToolMessage = Extract<ChatMessageParam, { role: "tool" }>;
  expectTypeOf<ToolMessage["tool_call_id"]>().toEqualTypeOf<string>();
  type AssistantMessage = Extract<ChatMessageParam, { role: "assistant" }>;
  expectTypeOf<AssistantMessage["tool_calls"]>().toEqualTypeOf<readonly ToolCall[] | null | undefined>();
  expectTypeOf<Extract<ChatMessageParam, { role: "user" }>>().not.toHaveProperty("tool_calls");
});

test("an answer's message goes back as it came", () => {
  expectTypeOf<ChatMessageResult>().toExtend<ChatMessageParam>();
});

test("error codes are a closed list", () => {
  expectTypeOf<"context_length_exceeded">().toExtend<ErrorCode>();
  expectTypeOf<string>().not.toExtend<ErrorCode>();
});

describe("what was written for OpenAI's client is taken", () => {
  test("bodies", () => {
    const tools = [
      {
        type: "function",
        function: { name: "weather", parameters: { type: "object", properties: {} }, strict: true },
      },
    ] satisfies OpenAI.ChatCompletionTool[];
    const chat = {
      model: "cairn-stories-3M",
      messages: [
        { role: "system", content: [{ type: "text", text: "Be brief." }] },
        { role: "user", content: "Weather?" },
        { role: "assistant", tool_calls: [{ id: "1", type: "function", function: { name: "w", arguments: "{}" } }] },
        { role: "tool", tool_call_id: "1", content: "sunny" },
      ],
      tools,
      tool_choice: { type: "function", function: { name: "weather" } },
      parallel_tool_calls: false,
      response_format: {
        type: "json_schema",
        json_schema: { name: "answer", schema: { type: "object" }, strict: true },
      },
      logprobs: true,
      top_logprobs: 5,
      logit_bias: { 7: -100 },
      max_completion_tokens: 20,
      temperature: 0.5,
      stop: ["\n"],
      n: 2,
      seed: 1,
      stream: true,
      stream_options: { include_usage: true },
    } satisfies OpenAI.ChatCompletionCreateParamsStreaming;
    expectTypeOf(chat).toExtend<ChatCompletionParams>();
    const stream = engine.chat.completions.create(chat);
    expectTypeOf(stream).resolves.toEqualTypeOf<CompletionStream<ChatCompletionChunk>>();
    const text = { model: "m", prompt: [[1], [2]], logprobs: 2 } satisfies OpenAI.CompletionCreateParamsNonStreaming;
    expectTypeOf(engine.completions.create(text)).resolves.toEqualTypeOf<Completion>();
  });

  test("messages and tools by their own types", () => {
    expectTypeOf<OpenAI.ChatCompletionSystemMessageParam>().toExtend<ChatMessageParam>();
    expectTypeOf<OpenAI.ChatCompletionDeveloperMessageParam>().toExtend<ChatMessageParam>();
    expectTypeOf<OpenAI.ChatCompletionToolMessageParam>().toExtend<ChatMessageParam>();
    expectTypeOf<OpenAI.ChatCompletionMessageFunctionToolCall>().toExtend<ToolCall>();
    expectTypeOf<OpenAI.ChatCompletionFunctionTool>().toExtend<FunctionTool>();
    expectTypeOf<OpenAI.ChatCompletionNamedToolChoice>().toExtend<ToolChoice>();
    expectTypeOf<OpenAI.FunctionParameters>().toExtend<JsonSchema>();
    expectTypeOf<OpenAI.ResponseFormatText>().toExtend<ResponseFormatParam>();
    expectTypeOf<OpenAI.ResponseFormatJSONObject>().toExtend<ResponseFormatParam>();
  });
});

test("answers are OpenAI's", () => {
  expectTypeOf<Writable<ChatCompletion>>().toExtend<OpenAI.ChatCompletion>();
  expectTypeOf<Writable<ChatCompletionChunk>>().toExtend<OpenAI.ChatCompletionChunk>();
  expectTypeOf<Writable<Completion>>().toExtend<OpenAI.Completion>();
  expectTypeOf<Writable<ChatMessageResult>>().toExtend<OpenAI.ChatCompletionMessageParam>();
  expectTypeOf<Writable<ModelList["data"][number]>>().toExtend<OpenAI.Model>();
});

test("an engine is shared or not, by a plain option", () => {
  expectTypeOf<CreateEngineOptions["shared"]>().toEqualTypeOf<boolean | null | undefined>();
  expectTypeOf<PlanMemoryOptions>().toHaveProperty("shared");
});

test("engine.fetch is a fetch, and what clients take for one", () => {
  expectTypeOf(engine.fetch).toExtend<typeof globalThis.fetch>();
  expectTypeOf(engine.fetch).toExtend<NonNullable<ClientOptions["fetch"]>>();
  expectTypeOf(engine.fetch).toExtend<NonNullable<OpenAICompatibleProviderSettings["fetch"]>>();
});
