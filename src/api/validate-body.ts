import type { ChatMessage, GenerateRequest, PromptInput } from "../protocol/messages";
import { MAX_LOGIT_BIASES, MAX_LOGPROBS, REPETITION_PENALTY_RANGE } from "../sampling/sampling-params";
import { CairnError } from "../util/errors";
import {
  aBoolean,
  aFilledString,
  aNumber,
  anArray,
  anInteger,
  anObject,
  aString,
  type Check,
  type Fields,
  invalid,
  oneOf,
  optional,
  refuseUnknown,
} from "./checks";

/** A checked body: what goes to the worker, and what shapes the answer. */
export interface ValidBody {
  /** Of each choice. */
  readonly request: Omit<GenerateRequest, "requestId" | "input">;
  /** The prompts, each of n choices. */
  readonly inputs: readonly PromptInput[];
  readonly n: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly returnTokenIds: boolean;
}

const NO_EFFECT = ["user", "metadata", "store", "service_tier"];
const PENALTY_FIELDS = ["repetition_penalty", "presence_penalty", "frequency_penalty", "logit_bias"];
const SAMPLING_FIELDS = ["temperature", "top_p", "top_k", "min_p", "seed", ...PENALTY_FIELDS, "logprobs"];
const SCHEDULING_FIELDS = ["kv", "cache_salt", "priority"];
const COMMON_FIELDS = ["model", "max_tokens", "stop", "stream", "stream_options", "n", "return_token_ids"];
const GENERATION_FIELDS = [...COMMON_FIELDS, ...SAMPLING_FIELDS, ...SCHEDULING_FIELDS, ...NO_EFFECT];

/** Of chats; their checks are loaded where they are needed. */
export const EXTRA_CHAT_FIELDS = [
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "response_format",
  "chat_template_kwargs",
] as const;
const CHAT_FIELDS = [...GENERATION_FIELDS, ...EXTRA_CHAT_FIELDS, "messages", "max_completion_tokens", "top_logprobs"];

const MAX_CHOICES = 16;
const MAX_STOP_STRINGS = 4;
const MAX_COMPLETION_LOGPROBS = 5;
const DEFAULT_COMPLETION_MAX_TOKENS = 16;

/** What a chat's messages, and the fields that only chats have, come to. */
export type ChatRequest = Pick<GenerateRequest, "input" | "grammar" | "thinkingGrammar" | "keepSpecialTokens">;

/** Checks the rest. Throws `invalid_request` or `unsupported_parameter`, both with data { param }, or `model_not_found`. */
export function validateChatBody(body: Fields, modelId: string, { input, ...own }: ChatRequest): ValidBody {
  refuseUnknown(body, CHAT_FIELDS);
  const maxTokens = optional(body, "max_tokens", anInteger(1));
  const maxCompletionTokens = optional(body, "max_completion_tokens", anInteger(1));
  if (maxTokens !== null && maxCompletionTokens !== null && maxTokens !== maxCompletionTokens) {
    throw invalid("max_completion_tokens", "equal to max_tokens where both are given");
  }
  return validateGeneration(body, modelId, [input], {
    ...own,
    maxTokens: maxCompletionTokens ?? maxTokens,
    numLogprobs: validateChatLogprobs(body),
  });
}

/** As validateChatBody; `inputs` are the prompts. */
export function validateCompletionBody(body: Fields, modelId: string, inputs: readonly PromptInput[]): ValidBody {
  refuseUnknown(body, [...GENERATION_FIELDS, "prompt"]);
  return validateGeneration(body, modelId, inputs, {
    maxTokens: optional(body, "max_tokens", anInteger(1)) ?? DEFAULT_COMPLETION_MAX_TOKENS,
    numLogprobs: optional(body, "logprobs", anInteger(0, MAX_COMPLETION_LOGPROBS)),
  });
}

/** Messages of text alone, as the body has them; null where they need a closer look. */
export function plainMessages(value: unknown): readonly ChatMessage[] | null {
  return Array.isArray(value) && value.length > 0 && value.every(isPlainMessage)
    ? value.map(({ role, content }) => ({ role, content }))
    : null;
}

/** An answer's message, as it came, is one. */
function isPlainMessage(message: unknown): boolean {
  if (typeof message !== "object" || message === null) return false;
  const { role, content, ...others } = message as Fields;
  return (
    typeof content === "string" &&
    ["system", "user", "assistant"].includes(role as string) &&
    Object.values(others).every((value) => value === null || value === undefined)
  );
}

/** One prompt: text, or token ids. */
export function validatePrompt(value: unknown, param = "prompt"): PromptInput {
  if (typeof value === "string") return { kind: "text", text: value };
  if (!Array.isArray(value)) throw invalid(param, "a string or an array of token ids");
  return { kind: "tokens", tokenIds: value.map((id, index) => anInteger(0)(id, `${param}[${index}]`)) };
}

export function modelNotFound(model: string, modelId: string): CairnError {
  const message = `The model "${model}" is not loaded; "${modelId}" is.`;
  return new CairnError("model_not_found", message, { model, available: [modelId] });
}

function validateGeneration(
  body: Fields,
  modelId: string,
  inputs: readonly PromptInput[],
  {
    numLogprobs,
    ...own
  }: Omit<ChatRequest, "input"> & { readonly maxTokens: number | null; readonly numLogprobs: number | null },
): ValidBody {
  const model = optional(body, "model", aString);
  if (model !== null && model !== modelId) throw modelNotFound(model, modelId);
  const stream = optional(body, "stream", aBoolean) ?? false;
  const returnTokenIds = optional(body, "return_token_ids", aBoolean) ?? false;
  if (returnTokenIds && inputs.length > 1) throw invalid("return_token_ids", "false where there are several prompts");
  return {
    request: {
      ...own,
      sampling: { ...validateSampling(body), numLogprobs },
      stop: optional(body, "stop", stopStrings) ?? [],
      priority: optional(body, "priority", anInteger()) ?? 0,
      ...(optional(body, "kv", kvParams) ?? KV_DEFAULTS),
      cacheSalt: optional(body, "cache_salt", aFilledString),
    },
    inputs,
    n: optional(body, "n", anInteger(1, MAX_CHOICES)) ?? 1,
    stream,
    includeUsage: validateStreamOptions(body, stream),
    returnTokenIds,
  };
}

function validateSampling(body: Fields): GenerateRequest["sampling"] {
  const seed = optional(body, "seed", anInteger());
  return {
    temperature: optional(body, "temperature", aNumber(0, 2)),
    topP: optional(body, "top_p", aNumber(0, 1)),
    topK: optional(body, "top_k", anInteger(0)),
    minP: optional(body, "min_p", aNumber(0, 1)),
    seed: seed === null ? null : seedHalves(seed),
    repetitionPenalty: optional(body, "repetition_penalty", aNumber(...REPETITION_PENALTY_RANGE)),
    presencePenalty: optional(body, "presence_penalty", aNumber(-2, 2)),
    frequencyPenalty: optional(body, "frequency_penalty", aNumber(-2, 2)),
    logitBias: optional(body, "logit_bias", logitBias),
  };
}

/** Of a chat: `logprobs` switches them on, `top_logprobs` says how many. */
function validateChatLogprobs(body: Fields): number | null {
  const isOn = optional(body, "logprobs", aBoolean) ?? false;
  const numTop = optional(body, "top_logprobs", anInteger(0, MAX_LOGPROBS));
  if (numTop !== null && !isOn) throw invalid("top_logprobs", "absent unless logprobs is true");
  return isOn ? (numTop ?? 0) : null;
}

/** The field `logit_bias`: biases by token id. Which ids there are, the engine knows. */
const logitBias: Check<ReadonlyMap<number, number>> = (value, param) => {
  const entries = Object.entries(anObject(value, param));
  if (entries.length > MAX_LOGIT_BIASES) throw invalid(param, `an object of at most ${MAX_LOGIT_BIASES} token ids`);
  return new Map(
    entries.map(([key, bias]) => {
      const id = Number(key);
      if (!Number.isSafeInteger(id) || id < 0 || `${id}` !== key) {
        throw invalid(param, `an object whose keys are token ids, not "${key}"`);
      }
      return [id, aNumber(-100, 100)(bias, `${param}.${key}`)];
    }),
  );
};

/** A safe integer as two's complement of 64 bits. */
function seedHalves(seed: number): readonly [low: number, high: number] {
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}

const stopStrings: Check<readonly string[]> = (value, param) => {
  const stops = typeof value === "string" ? [value] : anArray(value, param);
  if (stops.length > MAX_STOP_STRINGS) throw invalid(param, `at most ${MAX_STOP_STRINGS} strings`);
  return stops.map((stop, index) => aFilledString(stop, `${param}[${index}]`));
};

const KV_DEFAULTS = { usePrefixCache: true, kvStore: "all" } as const;

/** The field `kv`: whether the request uses the prefix cache, and how far down. */
const kvParams: Check<Pick<GenerateRequest, "usePrefixCache" | "kvStore">> = (value, param) => {
  const fields = anObject(value, param);
  refuseUnknown(fields, ["cache", "store"], `${param}.`);
  return {
    usePrefixCache: optional(fields, "cache", aBoolean, `${param}.`) ?? KV_DEFAULTS.usePrefixCache,
    kvStore: optional(fields, "store", oneOf("ram", "none"), `${param}.`) ?? KV_DEFAULTS.kvStore,
  };
};

function validateStreamOptions(body: Fields, stream: boolean): boolean {
  const options = optional(body, "stream_options", anObject);
  if (options === null) return false;
  if (!stream) throw invalid("stream_options", "absent unless stream is true");
  refuseUnknown(options, ["include_usage"], "stream_options.");
  return optional(options, "include_usage", aBoolean, "stream_options.") ?? false;
}
