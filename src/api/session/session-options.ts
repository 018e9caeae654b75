import { CairnError } from "../../util/errors";
import { aFilledString, anArray, anObject, aSignal, aString, invalid, oneOf, optional, unsupported } from "../checks";
import { readChatBody } from "../completions";
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

/** Rejects with `invalid_request` or `unsupported_parameter`, both with data { param }. */
export async function validateSession(options: SessionOptions, host: SessionHost): Promise<ValidSession> {
  const fields = copy(anObject(options, "options"), "options");
  const { system: _, messages: __, onOverflow: ___, ...defaults } = fields;
  const system = optional(fields, "system", aString);
  const onOverflow = optional(fields, "onOverflow", oneOf("error", "drop-oldest")) ?? "error";
  const said = optional(fields, "messages", anArray) ?? [];
  const messages = [...(system === null ? [] : [{ role: "system", content: system }]), ...said] as ChatMessageParam[];
  refuse(defaults);
  await readChatBody({ ...defaults, messages: messages.length > 0 ? messages : [SOME_MESSAGE] }, host.info);
  return { defaults, onOverflow, messages };
}

/** A prompt's own fields that are given, and its signal. The chat completion checks the rest. */
export function validatePromptOptions(options: PromptOptions): { params: SessionParams; signal: AbortSignal | null } {
  const signal = optional(anObject(options, "options"), "signal", aSignal, "options.");
  const { signal: _, responseConstraint: schema, ...params } = options;
  refuse(params);
  const own = Object.fromEntries(Object.entries(params).filter(([, value]) => value != null));
  if (schema == null) return { params: own, signal };
  if (params.response_format != null) throw invalid("responseConstraint", "absent beside response_format");
  const response_format = { type: "json_schema", json_schema: { name: "response", schema } } as const;
  return { params: { ...own, response_format }, signal };
}

/** A copy of the messages to add, at least one; the conversation's others are checked with them. */
export function toMessages(input: SessionInput): readonly ChatMessageParam[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  if (!Array.isArray(input) || input.length === 0) throw invalid("input", "a string or an array of messages");
  return copy(input, "input");
}

/** That a session is saved under. */
export function sessionId(id: unknown): string {
  return aFilledString(id, "id");
}

function refuse(params: object): void {
  for (const [param, value] of Object.entries(params)) {
    if (value != null && isRefused(param)) throw unsupported(param, `A session takes no ${param}.`);
  }
}

/** What the caller changes later is not ours. */
function copy<T>(value: T, param: string): T {
  try {
    return structuredClone(value);
  } catch (cause) {
    throw new CairnError("invalid_request", `${param} must be plain data.`, { param }, { cause });
  }
}
