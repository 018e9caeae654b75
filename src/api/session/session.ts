import { CairnError, type ErrorCode } from "../../util/errors";
import { refuseUnknown } from "../checks";
import type { ChatMessageParam, CompletionUsage } from "../openai-types";
import { AnswerMessage } from "./answer-message";
import { CallQueue } from "./call-queue";
import { sessionId, toMessages, type ValidSession, validatePromptOptions, validateSession } from "./session-options";
import { SessionRequests } from "./session-requests";
import { deleteRecord, invalidSession, listSessions, readSession, writeSession } from "./session-store";
import type {
  AppendOptions,
  PromptOptions,
  SavedSession,
  SessionHost,
  SessionInput,
  SessionOptions,
  SessionParams,
} from "./session-types";
import { alternating, fewestToDrop, numTurnsBefore, withoutOldest } from "./turns";

type Messages = readonly ChatMessageParam[];
type Settings = Omit<ValidSession, "messages">;

const REFUSALS: ReadonlySet<ErrorCode> = new Set(["invalid_request", "unsupported_parameter"]);

/** A conversation at one point. */
interface State {
  readonly messages: Messages;
  readonly numDroppedMessages: number;
  readonly contextUsage: number;
}

/** Without `max_tokens`, room for an answer of so many tokens. */
const ANSWER_TOKENS = 1024;
/** Most of the context that is kept free for an answer, as a share of it. */
const MAX_ANSWER_SHARE = 1 / 4;

export async function createSession(host: SessionHost, options: SessionOptions): Promise<Session> {
  return Session.open(host, await validateSession(options, host), 0, null);
}

export async function restoreSession(host: SessionHost, id: string): Promise<Session> {
  const record = await readSession([host.namespace, sessionId(id)]);
  let valid: ValidSession;
  try {
    valid = await validateSession({ ...record.options, messages: record.messages }, host);
  } catch (cause) {
    // Others, such as that a part of the package is not there, say nothing of the record.
    const isRecords = cause instanceof CairnError && REFUSALS.has(cause.code);
    throw isRecords ? invalidSession(id, cause.message, { cause }) : cause;
  }
  return Session.open(host, valid, record.numDroppedMessages, id);
}

export function savedSessions({ namespace }: SessionHost): Promise<SavedSession[]> {
  return listSessions(namespace);
}

export async function deleteSession({ namespace }: SessionHost, id: string): Promise<void> {
  await deleteRecord([namespace, sessionId(id)]);
}

/**
 * A conversation with the model. Its calls run one after another, in the order in which they were made. One that fails or is
 * aborted leaves the conversation as it was; KV that it computed stays in the cache.
 * After `destroy()` every call rejects with a CairnError with code `disposed`.
 */
export class Session {
  readonly #host: SessionHost;
  readonly #settings: Settings;
  readonly #requests: SessionRequests;
  readonly #calls: CallQueue;
  #state: State;
  #lastUsage: CompletionUsage | null = null;
  /** Under which it is saved. */
  #id: string | null;

  /** For `engine.session()` and `engine.restoreSession()`. */
  static async open(
    host: SessionHost,
    { messages, ...settings }: ValidSession,
    numDroppedMessages: number,
    id: string | null,
  ): Promise<Session> {
    const session = new Session(host, settings, { messages, numDroppedMessages, contextUsage: 0 }, id);
    await session.#become(messages, numDroppedMessages);
    if (id !== null) await session.#requests.prefetch(messages);
    return session;
  }

  private constructor(host: SessionHost, settings: Settings, state: State, id: string | null) {
    this.#host = host;
    this.#settings = settings;
    this.#requests = new SessionRequests(host, settings.defaults);
    this.#calls = new CallQueue();
    this.#state = state;
    this.#id = id;
  }

  /** A copy of what was said; answers as they came, with their tool calls and thoughts. */
  get messages(): ChatMessageParam[] {
    return structuredClone(this.#state.messages) as ChatMessageParam[];
  }

  /** Tokens of the conversation, as the model's template writes it. */
  get contextUsage(): number {
    return this.#state.contextUsage;
  }

  /** Longest conversation with its answer, in tokens. */
  get contextWindow(): number {
    return this.#host.info.maxModelLen;
  }

  /** Messages that were dropped so far to make room. */
  get numDroppedMessages(): number {
    return this.#state.numDroppedMessages;
  }

  /** Of the last prompt that was answered; null before the first. */
  get lastUsage(): CompletionUsage | null {
    return this.#lastUsage;
  }

  /**
   * Asks, and resolves with the answer's text. Input and answer are then part of the conversation; the answer's tool calls are in its
   * last message. Rejects as `chat.completions.create` does: with `context_length_exceeded`, before anything is generated, where
   * the conversation with this input does not fit; if `onOverflow` is "drop-oldest", where not even the input does.
   */
  async prompt(input: SessionInput, options: PromptOptions = {}): Promise<string> {
    let text = "";
    for await (const piece of this.promptStreaming(input, options)) text += piece;
    return text;
  }

  /**
   * As `prompt`, in pieces, once. It is answered whether or not they are read; leaving the loop before the end aborts it, and the
   * conversation is as before.
   */
  promptStreaming(input: SessionInput, options: PromptOptions = {}): AsyncGenerator<string, void, undefined> {
    const left = new AbortController();
    const pieces = new ReadableStream<string>({
      start: (out) => {
        this.#answer(input, options, left.signal, (text) => out.enqueue(text))
          .then(() => out.close())
          .catch((error) => out.error(error));
      },
      cancel: (reason) => left.abort(reason),
    });
    return read(pieces);
  }

  /**
   * Adds to the conversation, and computes its KV, so that the next prompt is answered sooner. It only adds where the model's
   * template cannot write a conversation that ends there, or `kv: { cache: false }`. Rejects as `prompt`.
   */
  async append(input: SessionInput, options: AppendOptions = {}): Promise<void> {
    const added = toMessages(input);
    refuseUnknown({ ...options }, ["signal"]);
    const { signal } = validatePromptOptions(options);
    await this.#calls.run([signal], async (ending) => {
      const messages = await this.#fit(this.#settings.defaults, added, 1);
      await this.#requests.compute(messages, ending);
      await this.#become(messages, this.#numDropped(messages, added));
    });
  }

  /** Tokens that the conversation would have more with this input. */
  async measureContextUsage(input: SessionInput): Promise<number> {
    const added = toMessages(input);
    return this.#calls.run([], async () => {
      const { messages, contextUsage } = this.#state;
      return (await this.#requests.countConversation([...messages, ...added])) - contextUsage;
    });
  }

  /** Another session that goes on from here. It shares this one's KV, and nothing is computed. It is not saved. */
  clone(): Promise<Session> {
    return this.#calls.run([], async () => new Session(this.#host, this.#settings, this.#state, null));
  }

  /**
   * Writes the conversation and the session's options into this browser's storage, where they stay, unencrypted, until
   * `engine.deleteSession(id)`, and resolves when KV that may outlive the page does. Without an id it keeps the one that it was
   * saved under or restored from, or gets one. Resolves with the id; rejects with `storage_failed` { reason }.
   */
  async save(id?: string | null): Promise<string> {
    if (id != null) sessionId(id);
    return this.#calls.run([], async () => {
      const key = id ?? this.#id ?? crypto.randomUUID();
      const { info, namespace, connection } = this.#host;
      const { messages, numDroppedMessages } = this.#state;
      const { defaults, onOverflow } = this.#settings;
      const options = { ...defaults, onOverflow };
      const record = { modelId: info.modelId, savedAt: Date.now(), messages, options, numDroppedMessages };
      await writeSession([namespace, key], record);
      this.#id = key;
      await connection.call((worker) => worker.kvFlush());
      return key;
    });
  }

  /** Aborts its calls and takes no more. What is saved stays, and so does its KV. */
  destroy(): void {
    this.#calls.end();
  }

  async #answer(
    input: SessionInput,
    options: PromptOptions,
    left: AbortSignal,
    onText: (text: string) => void,
  ): Promise<void> {
    const added = toMessages(input);
    const { params, signal } = validatePromptOptions(options);
    const limit = params.max_completion_tokens ?? params.max_tokens;
    // Either name goes before both of the session's.
    const limits = limit == null ? {} : { max_tokens: limit, max_completion_tokens: limit };
    const body: SessionParams = { ...this.#settings.defaults, ...limits, ...params };
    await this.#calls.run([signal, left], async (ending) => {
      const messages = await this.#fit(body, added, body.max_completion_tokens ?? body.max_tokens ?? ANSWER_TOKENS);
      const streaming = {
        messages: alternating(messages),
        stream: true,
        stream_options: { include_usage: true },
      } as const;
      const answer = new AnswerMessage();
      let usage: CompletionUsage | null = null;
      for await (const chunk of await this.#host.completions.create({ ...body, ...streaming }, { signal: ending })) {
        usage = chunk.usage ?? usage;
        for (const { delta } of chunk.choices) {
          answer.push(delta);
          if (delta.content) onText(delta.content);
        }
      }
      await this.#become([...messages, answer.message], this.#numDropped(messages, added));
      this.#lastUsage = usage;
    });
  }

  /** The conversation with more messages, which are never dropped, and so much of it as fits beside an answer. */
  async #fit(body: SessionParams, added: Messages, maxTokens: number): Promise<Messages> {
    const { messages } = this.#state;
    const all = [...messages, ...added];
    // What does not fit the engine refuses.
    if (this.#settings.onOverflow === "error") return all;
    const room = Math.min(maxTokens, Math.floor(this.contextWindow * MAX_ANSWER_SHARE));
    const numTurns = await fewestToDrop(numTurnsBefore(all, messages.length), async (numDropped) => {
      const numPromptTokens = await this.#requests.countPrompt(body, withoutOldest(all, numDropped));
      return numPromptTokens + room <= this.contextWindow;
    });
    return withoutOldest(all, numTurns);
  }

  /** Since the session's beginning, where `messages` are what is left of the conversation and `added`. */
  #numDropped(messages: Messages, added: Messages): number {
    return this.numDroppedMessages + this.#state.messages.length + added.length - messages.length;
  }

  async #become(messages: Messages, numDroppedMessages: number): Promise<void> {
    const contextUsage = await this.#requests.countConversation(messages);
    this.#state = { messages, numDroppedMessages, contextUsage };
  }
}

async function* read(pieces: ReadableStream<string>): AsyncGenerator<string, void, undefined> {
  const reader = pieces.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel();
  }
}
