import { anObject, aSignal, optional, refuseUnknown } from "./checks";
import type { CompletionStream } from "./completion-stream";
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
import { CHAT_FORMAT, COMPLETION_FORMAT, type ResponseFormat } from "./response-format";
import { type ValidBody, validateChatBody, validateCompletionBody } from "./validate-body";
import type { WorkerConnection } from "./worker-connection";

export interface RequestOptions {
  /** Aborts the generation; the call, or the loop over its stream, then throws a CairnError with code `aborted`. */
  readonly signal?: AbortSignal | null;
}

/** `engine.chat.completions`. */
export class ChatCompletions {
  readonly #connection: WorkerConnection;
  readonly #modelId: string;

  constructor(connection: WorkerConnection, modelId: string) {
    this.#connection = connection;
    this.#modelId = modelId;
  }

  /** Answers a conversation. A stream's promise resolves when the engine accepted the request. */
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
    const valid = validateChatBody(body, this.#modelId);
    return answer(this.#connection, this.#modelId, CHAT_FORMAT, valid, options);
  }
}

/** `engine.completions`. */
export class Completions {
  readonly #connection: WorkerConnection;
  readonly #modelId: string;

  constructor(connection: WorkerConnection, modelId: string) {
    this.#connection = connection;
    this.#modelId = modelId;
  }

  /** Continues a prompt. A stream's promise resolves when the engine accepted the request. */
  create(body: CompletionParams & Streaming, options?: RequestOptions): Promise<CompletionStream<CompletionChunk>>;
  create(body: CompletionParams & NotStreaming, options?: RequestOptions): Promise<Completion>;
  create(body: CompletionParams, options?: RequestOptions): Promise<Completion | CompletionStream<CompletionChunk>>;
  async create(body: CompletionParams, options: RequestOptions = {}) {
    const valid = validateCompletionBody(body, this.#modelId);
    return answer(this.#connection, this.#modelId, COMPLETION_FORMAT, valid, options);
  }
}

async function answer<Kind extends string, Choice, ChunkKind extends string, ChunkChoice>(
  connection: WorkerConnection,
  model: string,
  format: ResponseFormat<Kind, Choice, ChunkKind, ChunkChoice>,
  { request, stream, includeUsage, returnTokenIds }: ValidBody,
  options: RequestOptions,
) {
  const fields = anObject(options, "options");
  refuseUnknown(fields, ["signal"], "options.");
  const id = format.idPrefix + crypto.randomUUID().replaceAll("-", "");
  const generation = connection.generate(
    { requestId: id, ...request },
    optional(fields, "signal", aSignal, "options."),
  );
  const responder = new Responder(format, { id, model, includeUsage, returnTokenIds });
  return stream ? responder.stream(generation) : responder.full(generation);
}
