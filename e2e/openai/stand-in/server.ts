import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout } from "node:timers/promises";
import {
  type Body,
  chatChoice,
  chatDeltas,
  completionChoice,
  completionDeltas,
  makeAnswer,
  PromptCache,
  promptsOf,
} from "./answers";
import { countTokens } from "./toy-model";

export const STAND_IN_MODEL = "toy/words-1B";
const MAX_MODEL_LEN = 4096;
const MS_BETWEEN_CHUNKS = 2;

export interface StandIn {
  readonly baseURL: string;
  /** Streams whose reader went away before their end. */
  readonly numAborted: number;
  close(): Promise<void>;
}

/** OpenAI's fields; `code` is null where OpenAI has none. */
class HttpError extends Error {
  readonly status: number;
  readonly error: object;

  constructor(status: number, message: string, fields: { param?: string; code?: string } = {}) {
    super(message);
    this.status = status;
    this.error = { message, type: "invalid_request_error", param: fields.param ?? null, code: fields.code ?? null };
  }
}

/**
 * A server of OpenAI's API on localhost that answers with toy texts, to hold clients and Cairn against: it is written from OpenAI's
 * reference and from what vLLM does where that says nothing (reasoning, cached tokens), and shares no code with Cairn.
 */
export async function startStandIn(): Promise<StandIn> {
  const cache = new PromptCache();
  let numAborted = 0;
  const server = createServer(async (request, response) => {
    allowOrigins(request, response);
    if (request.method === "OPTIONS") return response.writeHead(204).end();
    response.on("close", () => {
      if (!response.writableFinished) numAborted++;
    });
    try {
      await answer(request, response, cache);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      sendJson(response, { error: error.error }, error.status);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (!address || typeof address === "string") throw new Error("The stand-in has no port.");
  return {
    baseURL: `http://localhost:${address.port}/v1`,
    get numAborted() {
      return numAborted;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Pages of any origin may ask, with whatever headers. */
function allowOrigins(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("Access-Control-Allow-Origin", "*");
  response.setHeader("Access-Control-Allow-Headers", request.headers["access-control-request-headers"] ?? "*");
  response.setHeader("Access-Control-Expose-Headers", "x-request-id");
  response.setHeader("x-request-id", `req_${randomUUID()}`);
}

function sendJson(response: ServerResponse, value: object, status = 200): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

async function answer(request: IncomingMessage, response: ServerResponse, cache: PromptCache): Promise<void> {
  const model = { id: STAND_IN_MODEL, object: "model", created: 1_700_000_000, owned_by: "toy" };
  const route = `${request.method} ${decodeURIComponent(request.url ?? "")}`;
  switch (route) {
    case "GET /v1/models":
      return sendJson(response, { object: "list", data: [model] });
    case `GET /v1/models/${STAND_IN_MODEL}`:
      return sendJson(response, model);
    case "POST /v1/chat/completions":
    case "POST /v1/completions":
      return generate(await readBody(request), route.includes("/chat/"), response, cache);
  }
  if (route.startsWith("GET /v1/models/")) throw unknownModel(route.slice("GET /v1/models/".length));
  throw new HttpError(404, `Invalid URL (${route})`);
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new HttpError(400, "We could not parse the JSON body of your request.");
  }
}

function unknownModel(id: string): HttpError {
  return new HttpError(404, `The model \`${id}\` does not exist.`, { param: "model", code: "model_not_found" });
}

function check(body: Body, isChat: boolean): void {
  if (body.model !== STAND_IN_MODEL) throw unknownModel(`${body.model}`);
  const field = isChat ? "messages" : "prompt";
  if (body[field] === undefined) throw new HttpError(400, `Missing required parameter: '${field}'.`, { param: field });
  if ((body.temperature ?? 0) > 2) {
    throw new HttpError(400, "Invalid 'temperature': it must be at most 2.", { param: "temperature" });
  }
  if (promptsOf(body).some((prompt) => countTokens(prompt) > MAX_MODEL_LEN)) {
    const message = `This model's maximum context length is ${MAX_MODEL_LEN} tokens.`;
    throw new HttpError(400, message, { param: field, code: "context_length_exceeded" });
  }
}

async function generate(body: Body, isChat: boolean, response: ServerResponse, cache: PromptCache): Promise<void> {
  check(body, isChat);
  const { choices, usage } = makeAnswer(body, cache);
  const identity = {
    id: `${isChat ? "chatcmpl" : "cmpl"}-${randomUUID()}`,
    object: isChat ? "chat.completion" : "text_completion",
    created: Math.floor(Date.now() / 1000),
    model: STAND_IN_MODEL,
  };
  if (!body.stream) {
    const whole = choices.map((choice) => (isChat ? chatChoice(choice, body) : completionChoice(choice, body)));
    return sendJson(response, { ...identity, choices: whole, usage });
  }
  const includeUsage = body.stream_options?.include_usage ?? false;
  const chunk = (fields: object) => ({
    ...identity,
    ...(isChat ? { object: "chat.completion.chunk" } : {}),
    ...(includeUsage ? { usage: null } : {}),
    ...fields,
  });
  const deltas = choices.map((choice) => (isChat ? chatDeltas(choice, body) : completionDeltas(choice, body)));
  const events = takeTurns(deltas).map((choice) => chunk({ choices: [choice] }));
  await sendEvents(response, [...events, ...(includeUsage ? [chunk({ choices: [], usage })] : [])]);
}

/** The first of each list, the second of each, and so on. */
function takeTurns<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, at) => lists.flatMap((list) => list.slice(at, at + 1))).flat();
}

async function sendEvents(response: ServerResponse, events: readonly object[]): Promise<void> {
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache" });
  for (const event of events) {
    if (response.destroyed) return;
    response.write(`data: ${JSON.stringify(event)}\n\n`);
    await setTimeout(MS_BETWEEN_CHUNKS);
  }
  response.end("data: [DONE]\n\n");
}
