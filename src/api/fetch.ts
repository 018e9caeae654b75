import type { ErrorCode, WireError } from "../util/errors";
import type { CairnEngine } from "./cairn-engine";
import type { CompletionStream } from "./completion-stream";
import type { RequestOptions } from "./completions";
import type { ChatCompletionParams, CompletionParams } from "./openai-types";
import { modelNotFound } from "./validate-body";

/** What the answers come from. */
export type ServedEngine = Pick<CairnEngine, "info" | "chat" | "completions" | "models">;

/** What went wrong: a CairnError, or what only a server knows. */
interface Failure extends Omit<WireError, "code"> {
  readonly code: ErrorCode | "invalid_json" | "unknown_url" | "method_not_supported";
  readonly headers?: Readonly<Record<string, string>>;
}

interface Route {
  readonly method: "GET" | "POST";
  /** Of the path's end: what comes before is the base URL's. */
  readonly pattern: RegExp;
  readonly answer: (engine: ServedEngine, request: Request, body: string) => Promise<Response>;
}

const ROUTES: readonly Route[] = [
  generation<ChatCompletionParams>(/\/chat\/completions\/?$/, (engine, body, options) =>
    engine.chat.completions.create(body, options),
  ),
  generation<CompletionParams>(/\/completions\/?$/, (engine, body, options) =>
    engine.completions.create(body, options),
  ),
  { method: "GET", pattern: /\/models\/?$/, answer: async (engine) => jsonResponse(await engine.models.list()) },
  { method: "GET", pattern: /\/models\/./, answer: retrieveModel },
];

/** All others are 500. */
const STATUSES: Readonly<Partial<Record<Failure["code"], number>>> = {
  invalid_request: 400,
  unsupported_parameter: 400,
  chat_template: 400,
  context_length_exceeded: 400,
  invalid_json: 400,
  unknown_url: 404,
  model_not_found: 404,
  method_not_supported: 405,
  cache_too_small: 413,
  disposed: 503,
  device_lost: 503,
  worker_failed: 503,
};

/**
 * `fetch` with the engine as the server of OpenAI's API, at any base URL. Rejects as `fetch` does: with a TypeError where the
 * arguments make no request, with the signal's reason once it is aborted. Other failures are answers with an error in the body.
 */
export async function answerFetch(
  engine: ServedEngine,
  input: RequestInfo | URL,
  init?: RequestInit,
): Promise<Response> {
  // Any base will do for a relative URL, since only the path's end counts; and there may be no document.
  const request = new Request(typeof input === "string" ? new URL(input, "cairn:/") : input, init);
  request.signal.throwIfAborted();
  const body = await request.text();
  try {
    return await findRoute(request).answer(engine, request, body);
  } catch (thrown) {
    request.signal.throwIfAborted();
    return errorResponse(thrown as Failure);
  }
}

function pathOf(request: Request): string {
  const { pathname } = new URL(request.url);
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}

function findRoute(request: Request): Route {
  const { method } = request;
  const path = pathOf(request);
  const [first, ...others] = ROUTES.filter(({ pattern }) => pattern.test(path));
  if (!first) throw failure("unknown_url", `Cairn does not answer ${method} ${path}.`);
  const route = [first, ...others].find((candidate) => candidate.method === method);
  if (route) return route;
  const message = `${path} takes ${first.method}, not ${method}.`;
  throw failure("method_not_supported", message, {}, { allow: first.method });
}

function generation<Params>(
  pattern: RegExp,
  create: (engine: ServedEngine, body: Params, options: RequestOptions) => Promise<object | CompletionStream<object>>,
): Route {
  return {
    method: "POST",
    pattern,
    async answer(engine, request, body) {
      // What the JSON holds, `create` checks.
      const answer = await create(engine, parseJson(body) as Params, { signal: request.signal });
      return "controller" in answer ? eventStreamResponse(answer, request) : jsonResponse(answer);
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw failure("invalid_json", `The request's body is not JSON: ${(error as Error).message}`);
  }
}

async function retrieveModel(engine: ServedEngine, request: Request): Promise<Response> {
  const path = pathOf(request);
  const models = await engine.models.list();
  // An id may have slashes in it, and so may the base URL.
  const model = models.data.find(({ id }) => path.endsWith(`/models/${id}`));
  if (model) return jsonResponse(model);
  const id = path.replace(/^.*?\/models\//, "");
  throw modelNotFound(id, engine.info.modelId);
}

/** Server-sent events, each made when the reader asks for it. An error is one event, and the last. */
function eventStreamResponse(stream: CompletionStream<object>, request: Request): Response {
  const chunks = stream[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let onAbort = () => {};
  // Naming the request here also keeps it alive as long as the body: in Node its signal follows the caller's only so long.
  const stopListening = () => request.signal.removeEventListener("abort", onAbort);
  const source: UnderlyingDefaultSource<Uint8Array> = {
    start(controller) {
      onAbort = () => controller.error(request.signal.reason);
      request.signal.addEventListener("abort", onAbort);
    },
    async pull(controller) {
      const { done, value } = await chunks.next().catch(lastEvent);
      if (request.signal.aborted) return;
      controller.enqueue(encoder.encode(`data: ${value ? JSON.stringify(value) : "[DONE]"}\n\n`));
      if (!done) return;
      stopListening();
      controller.close();
    },
    cancel(reason) {
      stopListening();
      stream.abort(reason);
    },
  };
  return respond(new ReadableStream(source, { highWaterMark: 0 }), "text/event-stream");
}

function lastEvent(thrown: Failure) {
  return { done: true, value: { error: errorOf(thrown) } };
}

function failure(
  code: Failure["code"],
  message: string,
  data: Failure["data"] = {},
  headers: Failure["headers"] = {},
): Failure {
  return { code, message, data, headers };
}

/** OpenAI's fields, and `data`, which is CairnError's. A defect of ours may come without code and data. */
function errorOf({ code = "internal", message, data = {} }: Failure) {
  const type = statusOf(code) < 500 ? "invalid_request_error" : "server_error";
  const param = code === "model_not_found" ? "model" : (data.param ?? null);
  return { message, type, param, code, data };
}

function statusOf(code: Failure["code"]): number {
  return STATUSES[code] ?? 500;
}

/** Nothing that fails here is helped by asking again, and clients are told so. */
function errorResponse(thrown: Failure): Response {
  const error = errorOf(thrown);
  return jsonResponse({ error }, statusOf(error.code), { "x-should-retry": "false", ...thrown.headers });
}

function jsonResponse(value: object, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return respond(JSON.stringify(value), "application/json", status, headers);
}

function respond(
  body: BodyInit,
  contentType: string,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const requestId = `req_${crypto.randomUUID().replaceAll("-", "")}`;
  return new Response(body, {
    status,
    headers: { "content-type": contentType, "x-request-id": requestId, ...headers },
  });
}
