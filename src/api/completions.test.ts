import { afterEach, describe, expect, it, vi } from "vitest";
import type { GenerateEvent } from "../protocol/messages";
import { FAKE_INFO, FakeEngine, FakeWorker } from "../testing/fake-engine-worker";
import { CairnEngine } from "./cairn-engine";
import { WorkerConnection } from "./worker-connection";

const messages = [{ role: "user", content: "Hello" }] as const;
const usage = {
  promptTokens: 3,
  completionTokens: 2,
  cachedTokens: 7,
  cachedTokensByTier: { gpu: 3, host: 4, storage: 0 },
};
const timings = { queueMs: 1, timeToFirstTokenMs: 2, totalMs: 3 };
const STARTED: GenerateEvent = { kind: "started", promptTokenIds: [2, 7, 8] };
const ANSWER: GenerateEvent[] = [
  STARTED,
  { kind: "delta", text: "Hi", tokenIds: [4] },
  { kind: "delta", text: "", tokenIds: [5] },
  { kind: "delta", text: " you", tokenIds: [1] },
  { kind: "done", finishReason: "stop", usage, timings },
];
const WIRE_USAGE = {
  prompt_tokens: 3,
  completion_tokens: 2,
  total_tokens: 5,
  prompt_tokens_details: { cached_tokens: 7, cached_tokens_by_tier: { gpu: 3, host: 4, storage: 0 } },
  completion_tokens_details: { reasoning_tokens: 0 },
};
const WIRE_TIMINGS = { queue_ms: 1, time_to_first_token_ms: 2, total_ms: 3 };

const UNLIKELY = { token: "y", bytes: [121], logprob: Number.NEGATIVE_INFINITY };
const [HI, HALF, YOU] = [
  {
    token: "Hi",
    bytes: [72, 105],
    logprob: -0.5,
    textOffset: 0,
    top: [{ token: "Hi", bytes: [72, 105], logprob: -0.5 }, UNLIKELY],
  },
  { token: "\uFFFD", bytes: [240], logprob: -3, textOffset: 2, top: [UNLIKELY, { ...UNLIKELY, logprob: -20_000 }] },
  { token: " you", bytes: [32, 121, 111, 117], logprob: -1, textOffset: 2, top: [] },
];
/** As ANSWER; the second token has no character of its own. */
const ANSWER_WITH_LOGPROBS: GenerateEvent[] = [
  STARTED,
  { kind: "delta", text: "Hi", tokenIds: [4], logprobs: [HI] },
  { kind: "delta", text: "", tokenIds: [5], logprobs: [] },
  { kind: "delta", text: " you", tokenIds: [1], logprobs: [HALF] },
  { kind: "delta", text: "", tokenIds: [1], logprobs: [YOU] },
  ANSWER[4],
];
const WIRE_UNLIKELY = { token: "y", bytes: [121], logprob: -9999 };
const WIRE_HI = { token: "Hi", bytes: [72, 105], logprob: -0.5 };
const CHAT_LOGPROBS = [
  { ...WIRE_HI, top_logprobs: [WIRE_HI, WIRE_UNLIKELY] },
  { token: "\uFFFD", bytes: [240], logprob: -3, top_logprobs: [WIRE_UNLIKELY, WIRE_UNLIKELY] },
  { token: " you", bytes: [32, 121, 111, 117], logprob: -1, top_logprobs: [] },
];

const workers: FakeWorker[] = [];

/** An engine whose worker answers every request with `events`. */
async function start(events: readonly GenerateEvent[]) {
  const served = new FakeEngine((engine, { requestId }) => engine.send(requestId, ...events));
  const worker = new FakeWorker(async () => served);
  workers.push(worker);
  const connection = new WorkerConnection(worker, null);
  const init = { model: { kind: "url", url: "https://models.test/tiny/" } } as const;
  return { served, worker, engine: new CairnEngine(connection, await connection.init(init, null, null)) };
}

afterEach(() => {
  for (const worker of workers.splice(0)) worker.terminate();
});

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const chunks: T[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

describe("chat.completions.create", () => {
  it("gives an OpenAI-shaped answer", async () => {
    const { engine, served } = await start(ANSWER);
    const answer = await engine.chat.completions.create({ messages, stop: "x" });
    expect(answer).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
      object: "chat.completion",
      created: expect.any(Number),
      model: "tiny",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hi you", refusal: null },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: WIRE_USAGE,
      timings: WIRE_TIMINGS,
    });
    expect(served.requests).toMatchObject([{ requestId: answer.id, input: { kind: "chat", messages }, stop: ["x"] }]);
  });

  it("streams chunks: the role first, then text, the finish reason, the usage if asked", async () => {
    const { engine } = await start(ANSWER);
    const body = { messages, stream: true, stream_options: { include_usage: true } } as const;
    const chunks = await collect(await engine.chat.completions.create(body));
    const common = { id: chunks[0].id, object: "chat.completion.chunk", created: chunks[0].created, model: "tiny" };
    const choice = (delta: object, finish_reason: string | null = null) => [
      { index: 0, delta, logprobs: null, finish_reason },
    ];
    expect(chunks).toEqual([
      { ...common, choices: choice({ role: "assistant", content: "" }), usage: null },
      { ...common, choices: choice({ content: "Hi" }), usage: null },
      { ...common, choices: choice({ content: " you" }), usage: null },
      { ...common, choices: choice({}, "stop"), usage: null, timings: WIRE_TIMINGS },
      { ...common, choices: [], usage: WIRE_USAGE },
    ]);
  });

  it("sends no usage unless asked", async () => {
    const { engine } = await start(ANSWER);
    const chunks = await collect(await engine.chat.completions.create({ messages, stream: true }));
    expect(chunks.filter((chunk) => "usage" in chunk)).toEqual([]);
    expect(chunks).toHaveLength(4);
  });

  it("refuses a bad body before the worker hears of it", async () => {
    const { engine, served } = await start(ANSWER);
    const call = engine.chat.completions.create({ messages: [] });
    await expect(call).rejects.toMatchObject({ code: "invalid_request", data: { param: "messages" } });
    const unknownOption = engine.chat.completions.create({ messages }, { timeout: 1 } as object);
    await expect(unknownOption).rejects.toMatchObject({ data: { param: "options.timeout" } });
    expect(served.requests).toEqual([]);
  });
});

describe("completions.create", () => {
  it("gives text, and ids if asked", async () => {
    const { engine, served } = await start(ANSWER);
    const answer = await engine.completions.create({ prompt: [2, 7, 8], return_token_ids: true });
    expect(answer).toMatchObject({
      id: expect.stringMatching(/^cmpl-/),
      object: "text_completion",
      choices: [{ index: 0, text: "Hi you", logprobs: null, finish_reason: "stop", token_ids: [4, 5, 1] }],
      usage: WIRE_USAGE,
      prompt_token_ids: [2, 7, 8],
    });
    expect(served.requests).toMatchObject([{ input: { kind: "tokens", tokenIds: [2, 7, 8] }, maxTokens: 16 }]);
  });

  it("streams ids with the text, the prompt's in the first chunk", async () => {
    const { engine } = await start(ANSWER);
    const chunks = await collect(
      await engine.completions.create({ prompt: "a", stream: true, return_token_ids: true }),
    );
    expect(chunks.map((chunk) => [chunk.choices[0].text, chunk.choices[0].token_ids, chunk.prompt_token_ids])).toEqual([
      ["Hi", [4], [2, 7, 8]],
      ["", [5], undefined],
      [" you", [1], undefined],
      ["", [], undefined],
    ]);
    expect(chunks.map((chunk) => chunk.choices[0].finish_reason)).toEqual([null, null, null, "stop"]);
  });
});

describe("logprobs", () => {
  it("come with a chat's answer, one entry a token; infinity is -9999", async () => {
    const { engine, served } = await start(ANSWER_WITH_LOGPROBS);
    const answer = await engine.chat.completions.create({ messages, logprobs: true, top_logprobs: 2 });
    expect(answer.choices[0].logprobs).toEqual({ content: CHAT_LOGPROBS, refusal: null });
    expect(served.requests[0].sampling.numLogprobs).toBe(2);
  });

  it("come with a stream's text, also where it is empty", async () => {
    const { engine } = await start(ANSWER_WITH_LOGPROBS);
    const body = { messages, logprobs: true, top_logprobs: 2, stream: true } as const;
    const chunks = await collect(await engine.chat.completions.create(body));
    expect(chunks.map(({ choices }) => [choices[0].delta.content, choices[0].logprobs?.content ?? null])).toEqual([
      ["", null],
      ["Hi", [CHAT_LOGPROBS[0]]],
      [" you", [CHAT_LOGPROBS[1]]],
      ["", [CHAT_LOGPROBS[2]]],
      [undefined, null],
    ]);
  });

  it("of a text without tokens are an empty list", async () => {
    const { engine } = await start([STARTED, { kind: "delta", text: "", tokenIds: [1], logprobs: [] }, ANSWER[4]]);
    const answer = await engine.chat.completions.create({ messages, logprobs: true });
    expect(answer.choices[0].logprobs).toEqual({ content: [], refusal: null });
  });

  it("of a completion are lists, the chosen token among the likely ones", async () => {
    const { engine } = await start(ANSWER_WITH_LOGPROBS);
    const answer = await engine.completions.create({ prompt: "a", logprobs: 2 });
    const expected = {
      tokens: ["Hi", "\uFFFD", " you"],
      token_logprobs: [-0.5, -3, -1],
      top_logprobs: [{ Hi: -0.5, y: -9999 }, { y: -9999, "\uFFFD": -3 }, { " you": -1 }],
      text_offset: [0, 2, 2],
    };
    expect(answer.choices[0].logprobs).toEqual(expected);
    const chunks = await collect(await engine.completions.create({ prompt: "a", logprobs: 2, stream: true }));
    expect(chunks.flatMap(({ choices }) => choices[0].logprobs?.text_offset ?? [])).toEqual([0, 2, 2]);
    expect(chunks.map(({ choices }) => choices[0].logprobs?.tokens ?? null)).toEqual([
      ["Hi"],
      ["\uFFFD"],
      [" you"],
      null,
    ]);
  });
});

describe("failures of a request", () => {
  const refused: GenerateEvent = {
    kind: "error",
    error: { code: "context_length_exceeded", message: "too long", data: { numPromptTokens: 99, maxModelLen: 64 } },
  };

  it.each([[true], [false]])("rejects create when the engine refuses it (stream: %s)", async (stream) => {
    const { engine } = await start([refused]);
    await expect(engine.chat.completions.create({ messages, stream })).rejects.toMatchObject({
      code: "context_length_exceeded",
      data: { numPromptTokens: 99, maxModelLen: 64 },
    });
  });

  it("hands out the text that came before a failure, then throws", async () => {
    const error = { code: "numerical", message: "NaN", data: { position: 9 } } as const;
    const { engine } = await start([STARTED, ANSWER[1], { kind: "error", error }]);
    const texts: string[] = [];
    const read = async () => {
      for await (const chunk of await engine.completions.create({ prompt: "a", stream: true })) {
        texts.push(chunk.choices[0].text);
      }
    };
    await expect(read()).rejects.toMatchObject({ code: "numerical", data: { position: 9 } });
    expect(texts).toEqual(["Hi"]);
  });
});

describe("aborting", () => {
  it("rejects at once for a signal that is aborted already", async () => {
    const { engine, served } = await start(ANSWER);
    const signal = AbortSignal.abort("never mind");
    await expect(engine.completions.create({ prompt: "a" }, { signal })).rejects.toMatchObject({
      code: "aborted",
      name: "AbortError",
      cause: "never mind",
    });
    expect(served.requests).toEqual([]);
  });

  it.each([
    ["before the engine accepted it", []],
    ["while it runs", [STARTED, ANSWER[1]]],
  ])("rejects and tells the worker, %s", async (_, events) => {
    const { engine, served } = await start(events);
    const controller = new AbortController();
    const answer = engine.completions.create({ prompt: "a" }, { signal: controller.signal });
    const rejection = expect(answer).rejects.toMatchObject({ code: "aborted", cause: "stop it" });
    await vi.waitFor(() => expect(served.requests).toHaveLength(1));
    controller.abort("stop it");
    await rejection;
    await vi.waitFor(() => expect(served.aborted).toEqual([served.requests[0].requestId]));
  });

  it("aborts the generation when the loop over a stream is left", async () => {
    const { engine, served } = await start(ANSWER.slice(0, 3));
    const stream = await engine.completions.create({ prompt: "a", stream: true });
    for await (const chunk of stream) {
      expect(chunk.choices[0].text).toBe("Hi");
      break;
    }
    await vi.waitFor(() => expect(served.aborted).toEqual([served.requests[0].requestId]));
  });

  it.each([
    ["abort()", (stream: { abort(reason: unknown): void }) => stream.abort("b")],
    ["controller", (stream: { controller: AbortController }) => stream.controller.abort("b")],
  ])("ends a stream through its %s", async (_, abort) => {
    const { engine, served } = await start(ANSWER.slice(0, 3));
    const stream = await engine.completions.create({ prompt: "a", stream: true });
    abort(stream);
    await expect(collect(stream)).rejects.toMatchObject({ code: "aborted", cause: "b" });
    await vi.waitFor(() => expect(served.aborted).toHaveLength(1));
  });

  it("has no effect after the end, though the chunks were not read yet", async () => {
    const { engine, served } = await start(ANSWER);
    const controller = new AbortController();
    const stream = await engine.completions.create({ prompt: "a", stream: true }, { signal: controller.signal });
    await new Promise((resolve) => setTimeout(resolve, 20));
    controller.abort();
    stream.abort();
    const chunks = await collect(stream);
    expect(chunks.map((chunk) => chunk.choices[0].text)).toEqual(["Hi", " you", ""]);
    expect(served.aborted).toEqual([]);
  });

  it("gives a stream's chunks only once", async () => {
    const { engine } = await start(ANSWER);
    const stream = await engine.completions.create({ prompt: "a", stream: true });
    await collect(stream);
    await expect(collect(stream)).rejects.toMatchObject({ code: "invalid_request", data: { param: "stream" } });
  });
});

describe("the engine's end", () => {
  it("dispose ends live requests, the device and the worker, once", async () => {
    const { engine, served, worker } = await start(ANSWER.slice(0, 2));
    const stream = await engine.completions.create({ prompt: "a", stream: true });
    const answer = engine.completions.create({ prompt: "a" });
    const rejections = Promise.all([
      expect(collect(stream)).rejects.toMatchObject({ code: "disposed" }),
      expect(answer).rejects.toMatchObject({ code: "disposed" }),
    ]);
    await Promise.all([engine.dispose(), engine[Symbol.asyncDispose]()]);
    await engine.dispose();
    await rejections;
    expect([served.numDisposals, worker.isTerminated]).toEqual([1, true]);
    await expect(engine.completions.create({ prompt: "a" })).rejects.toMatchObject({ code: "disposed" });
  });

  it("the worker's death fails live requests and later ones; dispose still works", async () => {
    const { engine, worker } = await start(ANSWER.slice(0, 2));
    const stream = await engine.completions.create({ prompt: "a", stream: true });
    worker.fail("out of memory");
    const died = { code: "worker_failed", data: { reason: "out of memory" } };
    await expect(collect(stream)).rejects.toMatchObject(died);
    await expect(engine.completions.create({ prompt: "a" })).rejects.toMatchObject(died);
    expect(worker.isTerminated).toBe(true);
    await engine.dispose();
  });

  it("info is what the worker said", async () => {
    const { engine } = await start([]);
    expect(engine.info).toEqual(FAKE_INFO);
  });
});
