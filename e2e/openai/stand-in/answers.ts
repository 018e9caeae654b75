import { countTokens, type ToySchema, toyJson, toyLogprob, toyTokens } from "./toy-model";

/** What the stand-in reads of a request's body; what else there is has no effect. */
export interface Body {
  readonly model?: string;
  readonly messages?: readonly { readonly role: string; readonly content?: unknown }[];
  readonly prompt?: string | readonly string[];
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
  readonly n?: number;
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly temperature?: number;
  readonly seed?: number;
  readonly logprobs?: boolean | number;
  readonly top_logprobs?: number;
  readonly response_format?: { readonly type: string; readonly json_schema?: { readonly schema: ToySchema } };
  readonly tools?: readonly Tool[];
  readonly tool_choice?: string | { readonly function: { readonly name: string } };
  readonly chat_template_kwargs?: { readonly enable_thinking?: boolean };
}

interface Tool {
  readonly function: { readonly name: string; readonly parameters?: ToySchema };
}

/** One choice, in tokens. */
interface Choice {
  readonly index: number;
  readonly reasoning: readonly string[];
  readonly content: readonly string[];
  readonly call: { readonly id: string; readonly name: string; readonly arguments: readonly string[] } | null;
  readonly finishReason: "stop" | "length" | "tool_calls";
}

export interface Answer {
  readonly choices: readonly Choice[];
  readonly usage: object;
}

const THOUGHT = ["I", " should", " say", " something", "."];

/** Prompts that were answered: a later request that begins with one finds it in the cache. */
export class PromptCache {
  readonly #prompts: string[] = [];

  /** Tokens of the prompt that are cached, of which the last one never is. */
  add(prompt: string): number {
    const found = this.#prompts.filter((cached) => prompt.startsWith(cached)).map(countTokens);
    this.#prompts.push(prompt);
    return found.length === 0 ? 0 : Math.min(countTokens(prompt) - 1, Math.max(...found));
  }
}

export function promptsOf({ messages, prompt }: Body): readonly string[] {
  if (messages) return [messages.map(({ role, content }) => `${role}: ${JSON.stringify(content ?? "")}`).join(" ")];
  return typeof prompt === "string" ? [prompt] : (prompt ?? []);
}

export function makeAnswer(body: Body, cache: PromptCache): Answer {
  const prompts = promptsOf(body);
  const n = body.n ?? 1;
  const choices = prompts.flatMap((_, at) => Array.from({ length: n }, (_, index) => makeChoice(body, at * n + index)));
  const promptTokens = prompts.reduce((sum, prompt) => sum + countTokens(prompt), 0);
  const cachedTokens = prompts.reduce((sum, prompt) => sum + cache.add(prompt), 0);
  const reasoningTokens = choices.reduce((sum, { reasoning }) => sum + reasoning.length, 0);
  const contentTokens = choices.reduce(
    (sum, { content, call }) => sum + content.length + (call?.arguments.length ?? 0),
    0,
  );
  const completionTokens = reasoningTokens + contentTokens;
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    completion_tokens_details: { reasoning_tokens: reasoningTokens },
  };
  return { choices, usage };
}

function makeChoice(body: Body, index: number): Choice {
  const seed = (body.seed ?? 0) + index;
  const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? null;
  const reasoning = body.chat_template_kwargs?.enable_thinking ? THOUGHT.slice(0, maxTokens ?? THOUGHT.length) : [];
  const tool = chosenTool(body);
  if (tool) {
    const name = tool.function.name;
    const call = { id: `call_${index}`, name, arguments: toyJson(tool.function.parameters ?? { type: "object" }) };
    // A call that was named beforehand is no decision of the model's: OpenAI says "stop" there.
    const finishReason = typeof body.tool_choice === "object" ? "stop" : "tool_calls";
    return { index, reasoning, content: [], call, finishReason };
  }
  const schema = body.response_format?.json_schema?.schema;
  if (schema) return { index, reasoning, content: toyJson(schema), call: null, finishReason: "stop" };
  const numLeft = maxTokens === null ? null : maxTokens - reasoning.length;
  const content = toyTokens(seed, numLeft);
  return { index, reasoning, content, call: null, finishReason: maxTokens === null ? "stop" : "length" };
}

function chosenTool({ tools = [], tool_choice }: Body): Tool | undefined {
  if (typeof tool_choice === "object") return tools.find((tool) => tool.function.name === tool_choice.function.name);
  return tool_choice === "required" ? tools[0] : undefined;
}

export function chatChoice(choice: Choice, body: Body) {
  const { index, reasoning, content, call, finishReason } = choice;
  return {
    index,
    message: {
      role: "assistant",
      content: call ? null : content.join(""),
      refusal: null,
      ...(reasoning.length > 0 ? { reasoning_content: reasoning.join("") } : {}),
      ...(call ? { tool_calls: [toolCall(call, call.arguments.join(""))] } : {}),
    },
    logprobs: body.logprobs ? { content: content.map((token) => toyLogprob(token, body.top_logprobs ?? 0)) } : null,
    finish_reason: finishReason,
  };
}

/** The choices of the chunks of a stream, in their order. */
export function chatDeltas({ index, reasoning, content, call, finishReason }: Choice, body: Body): object[] {
  const chunk = (delta: object, finish_reason: string | null = null, logprobs: object | null = null) => ({
    index,
    delta,
    logprobs,
    finish_reason,
  });
  const logprobs = (token: string) => (body.logprobs ? { content: [toyLogprob(token, body.top_logprobs ?? 0)] } : null);
  const part = (text: string) => chunk({ tool_calls: [{ index: 0, function: { arguments: text } }] });
  return [
    chunk({ role: "assistant", content: "" }),
    ...reasoning.map((text) => chunk({ reasoning_content: text })),
    ...content.map((text) => chunk({ content: text }, null, logprobs(text))),
    ...(call ? [chunk({ tool_calls: [{ index: 0, ...toolCall(call, "") }] }), ...call.arguments.map(part)] : []),
    chunk({}, finishReason),
  ];
}

function toolCall({ id, name }: { readonly id: string; readonly name: string }, text: string) {
  return { id, type: "function", function: { name, arguments: text } };
}

export function completionChoice({ index, content, finishReason }: Choice, body: Body) {
  return { index, text: content.join(""), logprobs: completionLogprobs(content, body), finish_reason: finishReason };
}

export function completionDeltas({ index, content, finishReason }: Choice, body: Body): object[] {
  const chunks = content.map((text, at) => ({
    index,
    text,
    logprobs: completionLogprobs([text], body, content.slice(0, at).join("").length),
    finish_reason: null,
  }));
  return [...chunks, { index, text: "", logprobs: null, finish_reason: finishReason }];
}

function completionLogprobs(tokens: readonly string[], { logprobs }: Body, start = 0) {
  if (typeof logprobs !== "number") return null;
  const entries = tokens.map((token) => toyLogprob(token, logprobs));
  return {
    tokens,
    token_logprobs: entries.map(({ logprob }) => logprob),
    top_logprobs: entries.map(({ top_logprobs }) =>
      Object.fromEntries(top_logprobs.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: tokens.map((_, at) => start + tokens.slice(0, at).join("").length),
  };
}
