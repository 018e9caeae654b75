import type { TokensByTier } from "../protocol/kv-messages";

/** The subset of OpenAI's wire shapes that Cairn accepts and returns. Types only; validate-body.ts checks them. */

/** The one kind of part that a message may have. */
export interface TextPart {
  readonly type: "text";
  readonly text: string;
}

/** The texts of several parts are joined by newlines. */
export type TextContent = string | readonly TextPart[];

export interface SystemMessageParam {
  /** `developer` is read as `system`. */
  readonly role: "system" | "developer";
  readonly content: TextContent;
  readonly name?: string | null;
}

export interface UserMessageParam {
  readonly role: "user";
  readonly content: TextContent;
  readonly name?: string | null;
}

/** An answer's `message`, as it came, is one. */
export interface AssistantMessageParam {
  readonly role: "assistant";
  /** May be absent beside `tool_calls`. */
  readonly content?: TextContent | null;
  readonly name?: string | null;
  readonly tool_calls?: readonly ToolCall[] | null;
  /** What the model thought before it answered, for templates that show it again. Not OpenAI's. */
  readonly reasoning_content?: string | null;
}

/** What a function returned. */
export interface ToolMessageParam {
  readonly role: "tool";
  readonly content: TextContent;
  /** Of the call that it answers. */
  readonly tool_call_id: string;
}

export type ChatMessageParam = SystemMessageParam | UserMessageParam | AssistantMessageParam | ToolMessageParam;

/** A JSON Schema. Which keywords can be kept to, README says; others are errors that name them. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export interface FunctionTool {
  readonly type: "function";
  readonly function: {
    /** Up to 64 of a-z, A-Z, 0-9, _ and -. */
    readonly name: string;
    readonly description?: string | null;
    /** Schema of an object; without it the function takes none. */
    readonly parameters?: JsonSchema | null;
    /** Keep to the schema whenever the model calls it. A call that `tool_choice` asks for always does. */
    readonly strict?: boolean | null;
  };
}

/** "auto": the model decides. "required": it calls at least one. A name: it calls this one, once. "none": it is not shown them. */
export type ToolChoice =
  | "auto"
  | "none"
  | "required"
  | { readonly type: "function"; readonly function: { readonly name: string } };

export interface ToolCall {
  /** In answers nine letters or digits, which every model's template takes. */
  readonly id: string;
  readonly type: "function";
  readonly function: {
    readonly name: string;
    /** JSON text. Unless the call was bound to its schema, the model may have written anything. */
    readonly arguments: string;
  };
}

export type ResponseFormatParam =
  | { readonly type: "text" }
  /** Some JSON object. */
  | { readonly type: "json_object" }
  | {
      readonly type: "json_schema";
      readonly json_schema: {
        readonly name: string;
        readonly description?: string | null;
        readonly schema: JsonSchema;
        /** The schema is kept to either way. */
        readonly strict?: boolean | null;
      };
    };

export interface StreamOptions {
  /** One more chunk at the end, with `usage` and no choices. */
  readonly include_usage?: boolean | null;
}

export interface KvParams {
  /** False: the request neither takes KV from the prefix cache nor leaves any there; true unless given. */
  readonly cache?: boolean | null;
  /**
   * How far down KV may be kept that is computed for this request: "ram" forgets it with the page, "none" when the GPU needs
   * the room. On every tier unless given.
   */
  readonly store?: "ram" | "none" | null;
}

/** Fields of both endpoints. null means the same as absent. */
export interface GenerationParams {
  /** The id of the loaded model, if given. */
  readonly model?: string | null;
  readonly max_tokens?: number | null;
  /** 0 to 2; 0 always takes the most likely token. */
  readonly temperature?: number | null;
  /** 0 to 1; 0 keeps one token. */
  readonly top_p?: number | null;
  /** Keep this many most likely tokens; 0 keeps all. */
  readonly top_k?: number | null;
  /** 0 to 1; drop tokens less likely than this share of the most likely one. */
  readonly min_p?: number | null;
  /** Any safe integer; the same seed, prompt and parameters give the same text. */
  readonly seed?: number | null;
  /** 0.01 to 10; divides positive logits of tokens in prompt or output, multiplies negative ones. 1 is off. Not OpenAI's. */
  readonly repetition_penalty?: number | null;
  /** -2 to 2; taken off the logits of tokens in the output. */
  readonly presence_penalty?: number | null;
  /** -2 to 2; taken off the logits of tokens in the output, once for each time that they are there. */
  readonly frequency_penalty?: number | null;
  /** Added to logits, before the penalties: -100 to 100 by token id, for at most 1,024 ids. */
  readonly logit_bias?: Readonly<Record<string, number>> | null;
  /** Up to 4 strings that end the text and are not part of it. */
  readonly stop?: string | readonly string[] | null;
  readonly stream?: boolean | null;
  /** Only with `stream: true`. */
  readonly stream_options?: StreamOptions | null;
  /** Choices of each prompt, 1 to 16; with a seed, choice i has the seed + i. */
  readonly n?: number | null;
  /** Adds `choices[].token_ids` and `prompt_token_ids`. Only with one prompt. */
  readonly return_token_ids?: boolean | null;
  readonly kv?: KvParams | null;
  /** Not empty. Cached KV is shared only among requests of the same salt, or of none. */
  readonly cache_salt?: string | null;
  /** An integer; a lower one is served sooner. 0 unless given; equal ones go by arrival. */
  readonly priority?: number | null;
  /** Has no effect: there is no account to tell users apart for. */
  readonly user?: unknown;
  /** Has no effect. */
  readonly metadata?: unknown;
  /** Has no effect. */
  readonly store?: unknown;
  /** Has no effect. */
  readonly service_tier?: unknown;
}

export interface ChatCompletionParams extends GenerationParams {
  readonly messages: readonly ChatMessageParam[];
  /** The newer name of `max_tokens`. Without either, as much is generated as the context holds. */
  readonly max_completion_tokens?: number | null;
  /** Adds `choices[].logprobs`. */
  readonly logprobs?: boolean | null;
  /** 0 to 20: this many most likely tokens at each place. Only with `logprobs: true`. */
  readonly top_logprobs?: number | null;
  /** What the answer keeps to. */
  readonly response_format?: ResponseFormatParam | null;
  readonly tools?: readonly FunctionTool[] | null;
  /** "auto" where there are tools, unless given. */
  readonly tool_choice?: ToolChoice | null;
  /** False: at most one call; true unless given. */
  readonly parallel_tool_calls?: boolean | null;
  /** More variables of the model's chat template, such as `enable_thinking`. Not OpenAI's. */
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>> | null;
}

export interface CompletionParams extends GenerationParams {
  /** Text, or token ids that are used as they are; or several of either. `max_tokens` is 16 unless given. */
  readonly prompt: string | readonly number[] | readonly string[] | readonly (readonly number[])[];
  /** 0 to 5: adds `choices[].logprobs`, with this many most likely tokens at each place. */
  readonly logprobs?: number | null;
}

export type Streaming = { readonly stream: true };
export type NotStreaming = { readonly stream?: false | null };

export interface PromptTokensDetails {
  /** Of the prompt's tokens, those whose KV was cached, on whatever tier. */
  readonly cached_tokens: number;
  /** Not OpenAI's: the same tokens by tier. `gpu`: their KV was still there; `host`: it was loaded from RAM; `storage`: from the browser's storage. */
  readonly cached_tokens_by_tier: TokensByTier;
}

export interface CompletionTokensDetails {
  /** Of the completion's tokens, those that became `reasoning_content`, and the tags around it. */
  readonly reasoning_tokens: number;
}

/** Over all choices; a prompt of several choices counts once. */
export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: PromptTokensDetails;
  readonly completion_tokens_details: CompletionTokensDetails;
}

/** Not OpenAI's: milliseconds since the worker got the request. Of several choices, those of the one that took longest. */
export interface CompletionTimings {
  readonly queue_ms: number;
  readonly time_to_first_token_ms: number;
  readonly total_ms: number;
}

/** "tool_calls": the answer ends in calls, and waits for what they return. Only in chats. */
export type CompletionFinishReason = "stop" | "length" | "tool_calls";

interface Identity<Kind extends string> {
  readonly id: string;
  readonly object: Kind;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
}

/** With `return_token_ids`: the ids behind the choice's text, the end-of-sequence id included. */
export interface WithTokenIds {
  readonly token_ids?: readonly number[];
}

/** A whole answer. */
export interface FullResponse<Kind extends string, Choice> extends Identity<Kind> {
  readonly choices: readonly [Choice & WithTokenIds, ...(Choice & WithTokenIds)[]];
  readonly usage: CompletionUsage;
  readonly timings: CompletionTimings;
  readonly prompt_token_ids?: readonly number[];
}

/** A piece of a streamed answer. */
export interface ChunkResponse<Kind extends string, Choice> extends Identity<Kind> {
  /** Empty in the chunk that carries `usage`. */
  readonly choices: readonly (Choice & WithTokenIds)[];
  /** With `include_usage`: null in every chunk but the last. */
  readonly usage?: CompletionUsage | null;
  /** In the chunk with a choice's finish reason: that choice's, and in the last of them those of the one that took longest. */
  readonly timings?: CompletionTimings;
  /** In the first chunk. */
  readonly prompt_token_ids?: readonly number[];
}

export interface TokenLogprob {
  /** The token's text; bytes that are no whole character are U+FFFD here. */
  readonly token: string;
  /** Log-softmax of the model's own logits: before logit bias, penalties and temperature. At least -9999. */
  readonly logprob: number;
  readonly bytes: readonly number[];
}

/**
 * Of the tokens that the text is made of, those of thoughts and calls among them: neither of the end-of-sequence token nor of those that begin with a stop string or
 * behind one. In a stream each comes with the text in which its token begins.
 */
export interface ChatLogprobs {
  readonly content: readonly (TokenLogprob & { readonly top_logprobs: readonly TokenLogprob[] })[];
  readonly refusal: null;
}

/** As ChatLogprobs, one entry a token in each list. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  /** By text: the most likely tokens, and the one that was chosen. Of two tokens with one text the likelier. */
  readonly top_logprobs: readonly Readonly<Record<string, number>>[];
  /** Where the tokens begin in the whole text, in UTF-16 units. */
  readonly text_offset: readonly number[];
}

export interface ChatMessageResult {
  readonly role: "assistant";
  /** null where the answer is nothing but tool calls. */
  readonly content: string | null;
  readonly refusal: null;
  /** Of models that think first; absent where there is none. Not OpenAI's. */
  readonly reasoning_content?: string;
  /** Absent where there are none. */
  readonly tool_calls?: readonly ToolCall[];
}

export interface ChatChoice {
  readonly index: number;
  readonly message: ChatMessageResult;
  /** null unless asked for. */
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: CompletionFinishReason;
}

/** The first of a call has its id, type and name; `arguments` come in pieces. */
export interface ToolCallDelta {
  readonly index: number;
  readonly id?: string;
  readonly type?: "function";
  readonly function: { readonly name?: string; readonly arguments?: string };
}

export interface ChatDelta {
  /** Comes once, in the choice's first chunk. */
  readonly role?: "assistant";
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCallDelta[];
}

export interface ChatChunkChoice {
  readonly index: number;
  readonly delta: ChatDelta;
  /** null unless asked for. */
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: CompletionFinishReason | null;
}

export interface CompletionChoice {
  readonly index: number;
  readonly text: string;
  /** null unless asked for. */
  readonly logprobs: CompletionLogprobs | null;
  readonly finish_reason: Exclude<CompletionFinishReason, "tool_calls">;
}

export interface CompletionChunkChoice extends Omit<CompletionChoice, "finish_reason"> {
  readonly finish_reason: CompletionChoice["finish_reason"] | null;
}

export type ChatCompletion = FullResponse<"chat.completion", ChatChoice>;
export type ChatCompletionChunk = ChunkResponse<"chat.completion.chunk", ChatChunkChoice>;
export type Completion = FullResponse<"text_completion", CompletionChoice>;
export type CompletionChunk = ChunkResponse<"text_completion", CompletionChunkChoice>;

export interface Model {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
}

export interface ModelList {
  readonly object: "list";
  readonly data: readonly Model[];
}
