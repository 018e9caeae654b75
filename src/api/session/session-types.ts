import type { EngineInfo } from "../../protocol/messages";
import type { ChatCompletions } from "../completions";
import type { ChatCompletionParams, ChatMessageParam, JsonSchema } from "../openai-types";
import type { WorkerConnection } from "../worker-connection";
import type { RefusedParam } from "./session-options";

/** Fields of a chat completion that a session takes, as defaults of all its prompts or for one. */
export type SessionParams = Omit<ChatCompletionParams, RefusedParam>;

/** "error": the prompt rejects with `context_length_exceeded`. "drop-oldest": the oldest turns are forgotten. */
export type OnOverflow = "error" | "drop-oldest";

export interface SessionOptions extends SessionParams {
  /** The text of a system message, before all others. */
  readonly system?: string | null;
  /** What was said already; nothing unless given. */
  readonly messages?: readonly ChatMessageParam[] | null;
  /** When the conversation no longer fits the context; "error" unless given. */
  readonly onOverflow?: OnOverflow | null;
}

export interface AppendOptions {
  /** The call then rejects with a CairnError with code `aborted`, and the conversation is as before. */
  readonly signal?: AbortSignal | null;
}

/** For one prompt; what is given goes before the session's own. */
export interface PromptOptions extends SessionParams, AppendOptions {
  /** The Prompt API's name of a `response_format` with this schema. */
  readonly responseConstraint?: JsonSchema | null;
}

/** What a user says, or several messages, such as what tools returned. */
export type SessionInput = string | readonly ChatMessageParam[];

/** A session in this browser's storage. */
export interface SavedSession {
  readonly id: string;
  /** Null where the record is damaged, or of another version of Cairn: all that can be done is to delete it. */
  readonly info: {
    /** That of the model it was saved with. */
    readonly modelId: string;
    /** Milliseconds since 1970. */
    readonly savedAt: number;
    readonly numMessages: number;
  } | null;
}

/** What sessions take of the engine. */
export interface SessionHost {
  readonly connection: WorkerConnection;
  readonly completions: ChatCompletions;
  readonly info: EngineInfo;
  /** Of createEngine; "" where it has none. */
  readonly namespace: string;
}
