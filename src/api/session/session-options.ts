import { CairnError } from "../../util/errors";
import type { ChatMessageParam } from "../openai-types";
import type {
  OnOverflow,
  PromptOptions,
  SessionHost,
  SessionInput,
  SessionOptions,
  SessionParams,
} from "./session-types";

/** The options apart. */
export interface ValidSession {
  readonly defaults: SessionParams;
  readonly onOverflow: OnOverflow;
  readonly messages: readonly ChatMessageParam[];
}

/** What a session sets itself, or what would not be text. */
const REFUSED = [
  "model",
  "messages",
  "stream",
  "stream_options",
  "n",
  "logprobs",
  "top_logprobs",
  "return_token_ids",
] as const;
export type RefusedParam = (typeof REFUSED)[number];
const isRefused = (param: string) => (REFUSED as readonly string[]).includes(param);

/** Where there is none yet, the other fields are checked beside it. */
const SOME_MESSAGE: ChatMessageParam = { role: "user", content: "" };

/** Throws `invalid_request` or `unsupported_parameter`, both with data { param }. */
export function validateSession(options: SessionOptions, host: SessionHost): ValidSession {
  const { system, messages, onOverflow, ...defaults } = plainObject(options, "options");
  if (system != null && typeof system !== "string") throw invalid("system", "a string");
  if (onOverflow != null && onOverflow !== "error" && onOverflow !== "drop-oldest") {
    throw invalid("onOverflow", 'one of "error", "drop-oldest"');
  }
  const all = [
    ...(system == null ? [] : [{ role: "system", content: system } as const]),
    ...list(messages, "messages"),
  ];
  refuse(defaults);
  host.validateChatBody({ ...defaults, messages: all.length > 0 ? all : [SOME_MESSAGE] }, host.info.modelId);
  return { defaults, onOverflow: onOverflow ?? "error", messages: all };
}

/** A prompt's own fields that are given, and its signal. The chat completion checks the rest. */
export function validatePromptOptions(options: PromptOptions): { params: SessionParams; signal: AbortSignal | null } {
  const { signal, responseConstraint: schema, ...params } = options;
  refuse(params);
  const own = Object.fromEntries(Object.entries(params).filter(([, value]) => value != null));
  if (signal != null && !(signal instanceof AbortSignal)) throw invalid("options.signal", "an AbortSignal");
  if (schema == null) return { params: own, signal: signal ?? null };
  if (params.response_format != null) throw invalid("responseConstraint", "absent beside response_format");
  const response_format = { type: "json_schema", json_schema: { name: "response", schema } } as const;
  return { params: { ...own, response_format }, signal: signal ?? null };
}

/** A copy of the messages to add, at least one; the conversation's others are checked with them. */
export function toMessages(input: SessionInput): readonly ChatMessageParam[] {
  const messages = typeof input === "string" ? [{ role: "user", content: input } as const] : list(input, "input");
  if (messages.length === 0) throw invalid("input", "a string or an array of at least one message");
  return messages;
}

export function invalid(param: string, expectation: string): CairnError {
  return new CairnError("invalid_request", `${param} must be ${expectation}.`, { param });
}

function refuse(params: object): void {
  for (const [param, value] of Object.entries(params)) {
    if (value == null || !isRefused(param)) continue;
    throw new CairnError("unsupported_parameter", `A session takes no ${param}.`, { param });
  }
}

function list(value: readonly ChatMessageParam[] | null | undefined, param: string): readonly ChatMessageParam[] {
  if (value == null) return [];
  if (!Array.isArray(value)) throw invalid(param, "an array of messages");
  return copy(value as readonly ChatMessageParam[], param);
}

function plainObject<T extends object>(value: T, param: string): T {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(param, "an object");
  return copy(value, param);
}

/** What the caller changes later is not ours. */
function copy<T>(value: T, param: string): T {
  try {
    return structuredClone(value);
  } catch (cause) {
    throw new CairnError("invalid_request", `${param} must be plain data.`, { param }, { cause });
  }
}
