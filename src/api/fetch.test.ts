import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { GenerateEvent } from "../protocol/messages";
import { FakeEngine, FakeWorker } from "../testing/fake-engine-worker";
import { CairnError, type ErrorCode } from "../util/errors";
import { CairnEngine } from "./cairn-engine";
import { answerFetch } from "./fetch";
import { WorkerConnection } from "./worker-connection";

const usage = {
  promptTokens: 3,
  completionTokens: 2,
  cachedTokens: 0,
  cachedTokensByTier: { gpu: 0, host: 0, storage: 0 },
};
const STARTED: GenerateEvent = { kind: "started", promptTokenIds: [2, 7, 8] };
const HI: GenerateEvent = { kind: "delta", text: "Hi", tokenIds: [4] };
const YOU: GenerateEvent = { kind: "delta", text: " you", tokenIds: [5] };
const DONE: GenerateEvent = {
  kind: "done",
  finishReason: "stop",
  usage,
  timings: { queueMs: 1, timeToFirstTokenMs: 2, totalMs: 3 },
};
const ANSWER = [STARTED, HI, YOU, DONE];
const CHAT_URL = "https://anywhere.test/base/v1/chat/completions";
const COMPLETIONS_URL = "https://anywhere.test/v1/completions";
const CHAT = { messages: [{ role: "user", content: "Hello" }] };

const failing = (code: ErrorCode, data: object = {}): GenerateEvent => ({
  kind: "error",
  error: { code, message: `it is ${code}`, data: { ...data } },
});

const workers: FakeWorker[] = [];

/** An engine whose worker answers every request with `events`. */
async function start(events: readonly GenerateEvent[] = ANSWER) {
  const served = new FakeEngine((engine, { requestId }) => engine.send(requestId, ...events));
  const worker = new FakeWorker(async () => served);
  workers.push(worker);
  const connection = new WorkerConnection(worker, null);
  const init = { model: { kind: "url", url: "https://models.test/tiny/" } } as const;
  const engine = new CairnEngine(connection, await connection.init(init, null, null));
  const { fetch } = engine;
  const post = (url: string, body: unknown, init: RequestInit = {}) =>
    fetch(url, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body), ...init });
  return { served, worker, engine, fetch, post };
}

afterEach(() => {
  for (const worker of workers.splice(0)) worker.terminate();
});

/** The data of each event. */
async function events(response: Response): Promise<unknown[]> {
  const parts = (await response.text()).split("\n\n");
  expect(parts.pop()).toBe("");
  return parts.map((part) => {
    expect(part).toMatch(/^data: [^\n]+$/);
    const data = part.slice("data: ".length);
    return data === "[DONE]" ? data : JSON.parse(data);
  });
}

describe("whole answers", () => {
  it("are what the engine's own methods give, as JSON", async () => {
    const { post, served } = await start();
    const response = await post(CHAT_URL, { ...CHAT, model: "tiny", seed: 5 });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
    expect(await response.json()).toMatchObject({
      object: "chat.completion",
      choices: [{ message: { role: "assistant", content: "Hi you" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    });
    expect(served.requests).toMatchObject([{ input: CHAT, sampling: { seed: [5, 0] } }]);
  });

  it("come from the legacy endpoint too", async () => {
    const { post, served } = await start();
    const answer = await (await post(COMPLETIONS_URL, { prompt: "a" })).json();
    expect(answer).toMatchObject({ object: "text_completion", choices: [{ text: "Hi you" }] });
    expect(served.requests).toMatchObject([{ input: { kind: "text", text: "a" } }]);
  });

  const body = JSON.stringify({ prompt: "a" });
  it.each<[string, () => Parameters<typeof fetch>]>([
    ["a URL", () => [new URL(COMPLETIONS_URL), { method: "POST", body }]],
    ["a Request", () => [new Request(COMPLETIONS_URL, { method: "POST", body })]],
    ["a Request, and another body", () => [new Request(COMPLETIONS_URL, { method: "POST", body: "{" }), { body }]],
    ["a relative URL", () => ["/v1/completions", { method: "POST", body }]],
    [
      "a path without a folder, a slash and a query behind it",
      () => ["completions/?x=/models", { method: "POST", body }],
    ],
    ["bytes", () => [COMPLETIONS_URL, { method: "post", body: new TextEncoder().encode(body) }]],
    ["a Blob", () => [COMPLETIONS_URL, { method: "POST", body: new Blob([body]) }]],
    [
      "a stream of bytes",
      () => [COMPLETIONS_URL, { method: "POST", body: new Blob([body]).stream(), duplex: "half" } as RequestInit],
    ],
  ])("are given for %s", async (_, makeArguments) => {
    const { fetch } = await start();
    const response = await fetch(...makeArguments());
    expect(await response.json()).toMatchObject({ choices: [{ text: "Hi you" }] });
  });
});

describe("models", () => {
  const url = "https://anywhere.test/models/v1/models";

  it("are listed and found, also where the base URL speaks of models", async () => {
    const { fetch } = await start();
    const list = await (await fetch(url)).json();
    expect(list).toEqual({
      object: "list",
      data: [{ id: "tiny", object: "model", created: expect.any(Number), owned_by: "local" }],
    });
    expect(await (await fetch(`${url}/tiny`)).json()).toEqual(list.data[0]);
  });

  it.each(["a%2Fb%20c", "a/b%20c"])("with slashes in their ids are found as %s", async (path) => {
    const model = { id: "a/b c", object: "model", created: 1, owned_by: "local" } as const;
    const { engine } = await start();
    const served = { ...engine, models: { list: async () => ({ object: "list", data: [model] }) as const } };
    expect(await (await answerFetch(served, `${url}/${path}`)).json()).toEqual(model);
  });

  it.each(["other", "other/tiny2", "%zz"])("that are not loaded are 404: %s", async (id) => {
    const { fetch } = await start();
    const response = await fetch(`https://anywhere.test/v1/models/${id}`);
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      error: {
        message: `The model "${id}" is not loaded; "tiny" is.`,
        type: "invalid_request_error",
        param: "model",
        code: "model_not_found",
        data: { model: id, available: ["tiny"] },
      },
    });
  });
});

describe("streams", () => {
  it("are server-sent events with [DONE] at their end", async () => {
    const { post } = await start();
    const body = { ...CHAT, stream: true, stream_options: { include_usage: true } };
    const response = await post(CHAT_URL, body);
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    const chunks = await events(response);
    expect(chunks).toMatchObject([
      { choices: [{ delta: { role: "assistant" } }] },
      { choices: [{ delta: { content: "Hi" } }] },
      { choices: [{ delta: { content: " you" } }] },
      { choices: [{ finish_reason: "stop" }] },
      { choices: [], usage: { total_tokens: 5 } },
      "[DONE]",
    ]);
  });

  it("are made only as they are read", async () => {
    const { engine } = await start();
    let numMade = 0;
    async function* chunks() {
      while (numMade < 100) yield { number: ++numMade };
    }
    const stream = Object.assign(chunks(), { controller: new AbortController() });
    const completions = { create: async () => stream } as unknown as CairnEngine["completions"];
    const served = { ...engine, completions };
    const response = await answerFetch(served, COMPLETIONS_URL, { method: "POST", body: "{}" });
    const reader = response.body!.getReader();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(numMade).toBe(0);
    const { value } = await reader.read();
    expect(new TextDecoder().decode(value)).toBe('data: {"number":1}\n\n');
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(numMade).toBe(1);
  });

  it("end with one event that holds the error, if they fail", async () => {
    const { post } = await start([STARTED, HI, failing("numerical", { position: 9 })]);
    const response = await post(COMPLETIONS_URL, { prompt: "a", stream: true });
    expect(response.status).toBe(200);
    const error = {
      message: "it is numerical",
      type: "server_error",
      param: null,
      code: "numerical",
      data: { position: 9 },
    };
    expect(await events(response)).toMatchObject([{ choices: [{ text: "Hi" }] }, { error }]);
  });
});

describe("aborting", () => {
  const reason = new Error("enough");

  it.each([[true], [false]])("before the call rejects with the reason (stream: %s)", async (stream) => {
    const { post, served } = await start();
    const signal = AbortSignal.abort(reason);
    await expect(post(CHAT_URL, { ...CHAT, stream }, { signal })).rejects.toBe(reason);
    expect(served.requests).toEqual([]);
  });

  it("while a whole answer is made rejects with the reason and tells the worker", async () => {
    const { post, served } = await start([STARTED, HI]);
    const controller = new AbortController();
    const rejection = expect(post(CHAT_URL, CHAT, { signal: controller.signal })).rejects.toBe(reason);
    await vi.waitFor(() => expect(served.requests).toHaveLength(1));
    controller.abort(reason);
    await rejection;
    await vi.waitFor(() => expect(served.aborted).toEqual([served.requests[0].requestId]));
  });

  it("in a stream errors its body with the reason, though a read is waiting, and tells the worker", async () => {
    const { post, served } = await start([STARTED, HI]);
    const controller = new AbortController();
    const response = await post(COMPLETIONS_URL, { prompt: "a", stream: true }, { signal: controller.signal });
    const reader = response.body!.getReader();
    expect((await reader.read()).done).toBe(false);
    const rejection = expect(reader.read()).rejects.toBe(reason);
    controller.abort(reason);
    await rejection;
    await expect(reader.read()).rejects.toBe(reason);
    await vi.waitFor(() => expect(served.aborted).toEqual([served.requests[0].requestId]));
  });

  it("errors a body whose answer is over in the engine, and leaves one alone that was read whole", async () => {
    const { post, served } = await start();
    const controller = new AbortController();
    const ask = () => post(COMPLETIONS_URL, { prompt: "a", stream: true }, { signal: controller.signal });
    const read = await events(await ask());
    const unread = await ask();
    controller.abort(reason);
    await expect(unread.text()).rejects.toBe(reason);
    expect(read.at(-1)).toBe("[DONE]");
    expect(served.requests).toHaveLength(2);
  });

  it.each([
    ["in the middle", [STARTED, HI]],
    ["before the first read", [STARTED]],
  ] as const)("by cancelling the body %s tells the worker", async (_, sent) => {
    const { post, served } = await start(sent);
    const response = await post(COMPLETIONS_URL, { prompt: "a", stream: true });
    const reader = response.body!.getReader();
    if (sent.length > 1) await reader.read();
    await reader.cancel();
    await vi.waitFor(() => expect(served.aborted).toEqual([served.requests[0].requestId]));
  });
});

describe("errors", () => {
  it.each<[ErrorCode, object, number, string, string | null]>([
    ["invalid_request", { param: "messages" }, 400, "invalid_request_error", "messages"],
    ["unsupported_parameter", { param: "audio" }, 400, "invalid_request_error", "audio"],
    ["chat_template", { reason: "no" }, 400, "invalid_request_error", null],
    ["context_length_exceeded", { maxModelLen: 64 }, 400, "invalid_request_error", null],
    ["cache_too_small", { numBlocks: 8 }, 413, "invalid_request_error", null],
    ["numerical", { position: 9 }, 500, "server_error", null],
    ["gpu_error", { label: "x" }, 500, "server_error", null],
    ["internal", {}, 500, "server_error", null],
    ["device_lost", { reason: "gone" }, 503, "server_error", null],
  ])("of code %s with %o have status %i", async (code, data, status, type, param) => {
    for (const stream of [true, false]) {
      const { post } = await start([failing(code, data)]);
      const response = await post(CHAT_URL, { ...CHAT, stream });
      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toBe("application/json");
      expect(response.headers.get("x-should-retry")).toBe("false");
      expect(await response.json()).toEqual({ error: { message: `it is ${code}`, type, param, code, data } });
    }
  });

  it("of a field come from the same checks as in create", async () => {
    const { post, engine, served } = await start();
    const bad = { ...CHAT, temperature: 3 };
    const thrown = await engine.chat.completions.create(bad as never).catch((error: CairnError) => error);
    const { error } = await (await post(CHAT_URL, bad)).json();
    expect(thrown).toBeInstanceOf(CairnError);
    expect(error).toMatchObject({ message: (thrown as CairnError).message, param: "temperature" });
    expect((await post(CHAT_URL, [1])).status).toBe(400);
    expect(served.requests).toEqual([]);
  });

  it.each(["", "{", "<xml/>"])("say that a body is not JSON: %j", async (text) => {
    const { post } = await start();
    const response = await post(CHAT_URL, text);
    expect(response.status).toBe(400);
    const { error } = await response.json();
    expect(error).toMatchObject({ type: "invalid_request_error", code: "invalid_json", param: null });
    expect(error.message).toMatch(/^The request's body is not JSON: /);
  });

  it("are 404 for what Cairn does not answer", async () => {
    const { post } = await start();
    const response = await post("https://anywhere.test/v1/embeddings", {});
    expect(response.status).toBe(404);
    const message = "Cairn does not answer POST /v1/embeddings.";
    expect(await response.json()).toMatchObject({ error: { code: "unknown_url", message } });
  });

  it.each([
    ["GET", CHAT_URL, "POST"],
    ["DELETE", COMPLETIONS_URL, "POST"],
    ["POST", "https://anywhere.test/v1/models", "GET"],
    ["DELETE", "https://anywhere.test/v1/models/tiny", "GET"],
  ])("are 405 for another method: %s %s", async (method, url, allowed) => {
    const { fetch } = await start();
    const response = await fetch(url, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, allowed]);
    expect(await response.json()).toMatchObject({ error: { code: "method_not_supported" } });
  });

  it("are 503 once the engine is gone", async () => {
    const { post, engine, worker } = await start();
    worker.fail("out of memory");
    expect((await post(CHAT_URL, CHAT)).status).toBe(503);
    await engine.dispose();
    const response = await post(CHAT_URL, CHAT);
    expect(response.status).toBe(503);
    expect(response.headers.get("x-should-retry")).toBe("false");
  });

  it("without a code, which are ours, are 500", async () => {
    const { engine } = await start();
    const models = { list: () => Promise.reject(new TypeError("a defect")) };
    const response = await answerFetch({ ...engine, models }, "https://anywhere.test/v1/models");
    expect(response.status).toBe(500);
    const error = { message: "a defect", type: "server_error", param: null, code: "internal", data: {} };
    expect(await response.json()).toEqual({ error });
  });

  it("are answers in OpenAI's shape whatever is asked, and the worker hears of none", async () => {
    const { fetch, served } = await start();
    const path = fc.oneof(
      fc.constantFrom("/v1/chat/completions", "/completions", "/v1/models", "/v1/models/tiny"),
      fc.webPath(),
      fc.string().map((text) => `/models/${text}`),
    );
    const method = fc.constantFrom("POST", "PUT", "DELETE", "PATCH");
    const body = fc.oneof(fc.json(), fc.string());
    await fc.assert(
      fc.asyncProperty(path, method, body, async (path, method, body) => {
        const response = await fetch(`https://anywhere.test${path}`, { method, body });
        expect(response.status).toBeGreaterThanOrEqual(400);
        expect(response.status).toBeLessThan(500);
        const { error } = await response.json();
        expect(Object.keys(error)).toEqual(["message", "type", "param", "code", "data"]);
      }),
    );
    expect(served.requests).toEqual([]);
  });

  it.each<[string, Parameters<typeof fetch>]>([
    ["a URL that is none", ["https://"]],
    ["a body with GET", [CHAT_URL, { body: "{}" }]],
  ])("are rejections for %s, as fetch's are", async (_, input) => {
    const { fetch } = await start();
    await expect(fetch(...input)).rejects.toBeInstanceOf(TypeError);
  });
});
