import type { TokensByTier } from "../protocol/kv-messages";

/** The subset of OpenAI's wire shapes that Cairn accepts and returns. Types only; validate-body.ts checks them. */

export interface TextPart {
  readonly type: "text";
  readonly text: string;
}

export interface ChatMessageParam {
  /** `developer` is read as `system`. */
  readonly role: "system" | "developer" | "user" | "assistant";
  /** The texts of several parts are joined by newlines. */
  readonly content: string | readonly TextPart[];
  readonly name?: string | null;
}

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
  readonly n?: 1 | null;
  /** Adds `choices[].token_ids` and `prompt_token_ids`. */
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
}

export interface CompletionParams extends GenerationParams {
  /** Text, or token ids that are used as they are. `max_tokens` is 16 unless given. */
  readonly prompt: string | readonly number[];
  /** 0 to 5: adds `choices[].logprobs`, with this many most likely tokens at each place. */
  readonly logprobs?: number | null;
}

export type Streaming = { readonly stream: true };
export type NotStreaming = { readonly stream?: false | null };

export interface PromptTokensDetails {
  /** Of the prompt's tokens, those whose KV was cached, on whatever tier. */
  readonly cached_tokens: number;
  /** Not OpenAI's: the same tokens by tier. `gpu`: their KV was still there; `host`: it was loaded from RAM; `storage`: from IndexedDB. */
  readonly cached_tokens_by_tier: TokensByTier;
}

export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: PromptTokensDetails;
}

/** Not OpenAI's: milliseconds since the worker got the request. */
export interface CompletionTimings {
  readonly queue_ms: number;
  readonly time_to_first_token_ms: number;
  readonly total_ms: number;
}

export type CompletionFinishReason = "stop" | "length";

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
  readonly choices: readonly [Choice & WithTokenIds];
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
  /** In the chunk with the finish reason. */
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
 * Of the tokens that the text is made of: neither of the end-of-sequence token nor of those that begin with a stop string or
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

export interface ChatChoice {
  readonly index: 0;
  readonly message: { readonly role: "assistant"; readonly content: string; readonly refusal: null };
  /** null unless asked for. */
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: CompletionFinishReason;
}

export interface ChatChunkChoice {
  readonly index: 0;
  /** `role` comes once, in the first chunk. */
  readonly delta: { readonly role?: "assistant"; readonly content?: string };
  /** null unless asked for. */
  readonly logprobs: ChatLogprobs | null;
  readonly finish_reason: CompletionFinishReason | null;
}

export interface CompletionChoice {
  readonly index: 0;
  readonly text: string;
  /** null unless asked for. */
  readonly logprobs: CompletionLogprobs | null;
  readonly finish_reason: CompletionFinishReason;
}

export interface CompletionChunkChoice extends Omit<CompletionChoice, "finish_reason"> {
  readonly finish_reason: CompletionFinishReason | null;
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
