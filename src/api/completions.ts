import type { EngineInfo } from "../protocol/messages";
import { anObject, aSignal, type Fields, optional, refuseUnknown } from "./checks";
import { onlyChoice } from "./choice-source";
import type { CompletionStream } from "./completion-stream";
import { loadChatExtras, loadChoices } from "./load-extras";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionParams,
  Completion,
  CompletionChunk,
  CompletionParams,
  NotStreaming,
  Streaming,
} from "./openai-types";
import { Responder } from "./responder";
import { CHAT_FORMAT, COMPLETION_FORMAT, chatLogprobs, type ResponseFormat } from "./response-format";
import {
  EXTRA_CHAT_FIELDS,
  plainMessages,
  type ValidBody,
  validateChatBody,
  validateCompletionBody,
  validatePrompt,
} from "./validate-body";
import type { WorkerConnection } from "./worker-connection";

export interface RequestOptions {
  /** Aborts the generation; the call, or the loop over its stream, then throws a CairnError with code `aborted`. */
  readonly signal?: AbortSignal | null;
}

/** `engine.chat.completions`. */
export class ChatCompletions {
  readonly #connection: WorkerConnection;
  readonly #info: EngineInfo;

  constructor(connection: WorkerConnection, info: EngineInfo) {
    this.#connection = connection;
    this.#info = info;
  }

  /**
   * Answers a conversation. A stream's promise resolves when the engine accepted the request. With `tool_choice: "none"` the model is
   * not shown the tools.
   */
  create(
    body: ChatCompletionParams & Streaming,
    options?: RequestOptions,
  ): Promise<CompletionStream<ChatCompletionChunk>>;
  create(body: ChatCompletionParams & NotStreaming, options?: RequestOptions): Promise<ChatCompletion>;
  create(
    body: ChatCompletionParams,
    options?: RequestOptions,
  ): Promise<ChatCompletion | CompletionStream<ChatCompletionChunk>>;
  async create(body: ChatCompletionParams, options: RequestOptions = {}) {
    const { valid, format } = await readChatBody(body, this.#info);
    return answer(this.#connection, this.#info.modelId, { ...CHAT_FORMAT, ...format }, valid, options);
  }
}

/** A chat's body, checked, and what is special in how its text is read. Throws as validateChatBody and loadChatExtras. */
export async function readChatBody(body: unknown, info: EngineInfo) {
  const fields = anObject(body, "body");
  const messages = plainMessages(fields.messages);
  const isPlain = messages && !info.hasReasoning && isAbsent(fields, EXTRA_CHAT_FIELDS);
  const { request, ...format } = isPlain
    ? { request: { input: { kind: "chat", messages } } as const }
    : (await loadChatExtras()).readChat(fields, info, chatLogprobs);
  return { valid: validateChatBody(fields, info.modelId, request), format };
}

/** `engine.completions`. */
export class Completions {
  readonly #connection: WorkerConnection;
  readonly #modelId: string;

  constructor(connection: WorkerConnection, modelId: string) {
    this.#connection = connection;
    this.#modelId = modelId;
  }

  /** Continues a prompt, or each of several. A stream's promise resolves when the engine accepted the request. */
  create(body: CompletionParams & Streaming, options?: RequestOptions): Promise<CompletionStream<CompletionChunk>>;
  create(body: CompletionParams & NotStreaming, options?: RequestOptions): Promise<Completion>;
  create(body: CompletionParams, options?: RequestOptions): Promise<Completion | CompletionStream<CompletionChunk>>;
  async create(body: CompletionParams, options: RequestOptions = {}) {
    const fields = anObject(body, "body");
    const { prompt } = fields;
    const hasPrompts = Array.isArray(prompt) && (typeof prompt[0] === "string" || Array.isArray(prompt[0]));
    const inputs = hasPrompts ? (await loadChoices()).validatePrompts(prompt) : [validatePrompt(prompt)];
    const valid = validateCompletionBody(fields, this.#modelId, inputs);
    return answer(this.#connection, this.#modelId, COMPLETION_FORMAT, valid, options);
  }
}

async function answer<Kind extends string, Choice, ChunkKind extends string, ChunkChoice>(
  connection: WorkerConnection,
  model: string,
  format: ResponseFormat<Kind, Choice, ChunkKind, ChunkChoice>,
  valid: ValidBody,
  options: RequestOptions,
) {
  const fields = anObject(options, "options");
  refuseUnknown(fields, ["signal"], "options.");
  const signal = optional(fields, "signal", aSignal, "options.");
  const { request, inputs, n, stream, includeUsage, returnTokenIds } = valid;
  const id = format.idPrefix + crypto.randomUUID().replaceAll("-", "");
  const source =
    inputs.length * n === 1
      ? onlyChoice(connection.generate({ requestId: id, input: inputs[0], ...request }, signal))
      : (await loadChoices()).startChoices(connection, id, valid, signal);
  const responder = new Responder(format, { id, model, includeUsage, returnTokenIds });
  return stream ? responder.stream(source) : responder.full(source);
}

function isAbsent(fields: Fields, names: readonly string[]): boolean {
  return names.every((name) => fields[name] === undefined || fields[name] === null);
}
