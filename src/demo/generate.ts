import type {
  ChatCompletionChunk,
  ChatCompletionParams,
  ChatMessageParam,
  CompletionChunk,
  CompletionParams,
  CompletionUsage,
  EngineInfo,
  Streaming,
} from "../index";
import type { Settings, Turn } from "./chat-state";
import type { KvSource } from "./kv-monitor";

interface StreamingEndpoint<Params, Chunk> {
  create(body: Params & Streaming, options: { readonly signal: AbortSignal }): Promise<AsyncIterable<Chunk>>;
}

/** The part of `createEngine`'s engine that this page uses; tests script it. */
export interface ChatEngine {
  readonly info: EngineInfo;
  readonly chat: { readonly completions: StreamingEndpoint<ChatCompletionParams, ChatCompletionChunk> };
  readonly completions: StreamingEndpoint<CompletionParams, CompletionChunk>;
  readonly kv: KvSource;
  dispose(): Promise<void>;
}

export interface AnswerRequest {
  readonly past: readonly Turn[];
  readonly prompt: string;
  readonly settings: Settings;
  readonly signal: AbortSignal;
}

/** A piece of an answer; any part may be empty. */
export interface AnswerDelta {
  readonly text: string;
  readonly thoughts: string;
  readonly numTokens: number;
  /** In the first piece. */
  readonly numPromptTokens: number | null;
  readonly finishReason: string | null;
  /** In the last piece of an answer that was not stopped. */
  readonly usage: CompletionUsage | null;
}

/** How much a model without a chat template writes on: nothing in its training tells it to end. */
const TEXT_MAX_TOKENS = 200;

/** Streams the answer. A model without a chat template gets the prompt alone and goes on with it: it has no notion of a conversation. */
export async function* streamAnswer(engine: ChatEngine, request: AnswerRequest): AsyncGenerator<AnswerDelta> {
  const { past, prompt, settings, signal } = request;
  const common = generationParams(settings);
  if (engine.info.hasChatTemplate) {
    const messages = [...history(past), { role: "user" as const, content: prompt }];
    for await (const chunk of await engine.chat.completions.create({ messages, ...common }, { signal })) {
      const { content = "", reasoning_content: thoughts = "" } = chunk.choices[0]?.delta ?? {};
      yield deltaOf(chunk, content, thoughts);
    }
  } else {
    const params = { prompt, max_tokens: TEXT_MAX_TOKENS, ...common };
    for await (const chunk of await engine.completions.create(params, { signal })) {
      yield deltaOf(chunk, chunk.choices[0]?.text ?? "");
    }
  }
}

/** The turns as messages. Stopped answers count; failed and empty ones are left out with their question, so that roles alternate. */
export function history(turns: readonly Turn[]): ChatMessageParam[] {
  return turns
    .filter(({ answer, state }) => answer !== "" && state.status !== "failed")
    .flatMap(({ prompt, answer }) => [
      { role: "user" as const, content: prompt },
      { role: "assistant" as const, content: answer },
    ]);
}

function deltaOf(chunk: ChatCompletionChunk | CompletionChunk, text: string, thoughts = ""): AnswerDelta {
  const choice = chunk.choices[0];
  return {
    text,
    thoughts,
    numTokens: choice?.token_ids?.length ?? 0,
    numPromptTokens: chunk.prompt_token_ids?.length ?? null,
    finishReason: choice?.finish_reason ?? null,
    usage: chunk.usage ?? null,
  };
}

function generationParams({ temperature, maxTokens, seed }: Settings) {
  return {
    ...(temperature !== null && { temperature }),
    ...(maxTokens !== null && { max_tokens: maxTokens }),
    ...(seed !== null && { seed }),
    stream: true as const,
    stream_options: { include_usage: true },
    // Counts tokens of an answer that is stopped, too: `usage` comes at the end only.
    return_token_ids: true,
  };
}
