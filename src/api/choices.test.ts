import { afterEach, describe, expect, it, vi } from "vitest";
import type { GenerateEvent, GenerateRequest } from "../protocol/messages";
import { FakeEngine, FakeWorker } from "../testing/fake-engine-worker";
import { CairnEngine } from "./cairn-engine";
import { WorkerConnection } from "./worker-connection";

const messages = [{ role: "user", content: "Hello" }] as const;
const workers: FakeWorker[] = [];

afterEach(() => {
  for (const worker of workers.splice(0)) worker.terminate();
});

/** An engine whose requests the test answers. */
async function start(onRequest: (engine: FakeEngine, request: GenerateRequest) => void = () => {}) {
  const served = new FakeEngine(onRequest);
  const worker = new FakeWorker(async () => served);
  workers.push(worker);
  const connection = new WorkerConnection(worker, null);
  const init = { model: { kind: "url", url: "https://models.test/tiny/" } } as const;
  return { served, engine: new CairnEngine(connection, await connection.init(init, null, null)) };
}

const STARTED: GenerateEvent = { kind: "started", promptTokenIds: [2, 7] };
const text = (text: string): GenerateEvent => ({ kind: "delta", text, tokenIds: [4] });
const done = (index: number, finishReason: "stop" | "length" = "stop"): GenerateEvent => ({
  kind: "done",
  finishReason,
  usage: {
    promptTokens: 10 + index,
    completionTokens: 1 + index,
    cachedTokens: 3 * index,
    cachedTokensByTier: { gpu: index, host: index, storage: index },
  },
  timings: { queueMs: index, timeToFirstTokenMs: index, totalMs: index === 1 ? 9 : index },
});

/** Answers request i with "text i". */
function answerByIndex(engine: FakeEngine, { requestId }: GenerateRequest): void {
  const index = engine.requests.length - 1;
  engine.send(requestId, STARTED, text(`text ${index}`), done(index));
}

const refused: GenerateEvent = { kind: "error", error: { code: "cache_too_small", message: "no room", data: {} } };

describe("n", () => {
  it("gives as many choices of one prompt, and counts the prompt once", async () => {
    const { engine, served } = await start(answerByIndex);
    const answer = await engine.chat.completions.create({ messages, n: 3, seed: 2 ** 32 - 2, return_token_ids: true });
    expect(answer.choices.map(({ index, message, token_ids }) => [index, message.content, token_ids])).toEqual([
      [0, "text 0", [4]],
      [1, "text 1", [4]],
      [2, "text 2", [4]],
    ]);
    expect(answer.usage).toMatchObject({
      prompt_tokens: 10,
      completion_tokens: 6,
      total_tokens: 16,
      prompt_tokens_details: { cached_tokens: 0, cached_tokens_by_tier: { gpu: 0, host: 0, storage: 0 } },
    });
    expect(answer.timings).toEqual({ queue_ms: 1, time_to_first_token_ms: 1, total_ms: 9 });
    expect(answer.prompt_token_ids).toEqual([2, 7]);
    expect(served.requests.map(({ requestId, sampling }) => [requestId, sampling.seed])).toEqual([
      [`${answer.id}-0`, [2 ** 32 - 2, 0]],
      [`${answer.id}-1`, [2 ** 32 - 1, 0]],
      [`${answer.id}-2`, [0, 1]],
    ]);
  });

  it("has no seeds unless one is given", async () => {
    const { engine, served } = await start(answerByIndex);
    await engine.completions.create({ prompt: "a", n: 2 });
    expect(served.requests.map(({ sampling }) => sampling.seed)).toEqual([null, null]);
  });

  it("streams the chunks of all choices as they come", async () => {
    const { engine, served } = await start();
    const body = { messages, n: 2, stream: true, stream_options: { include_usage: true } } as const;
    const streaming = engine.chat.completions.create(body);
    await vi.waitFor(() => expect(served.requests).toHaveLength(2));
    const [first, second] = served.requests.map(({ requestId }) => requestId);
    const sent: [string, GenerateEvent][] = [
      [second, STARTED],
      [first, STARTED],
      [second, text("b")],
      [first, text("a")],
      [second, text("c")],
      [second, done(1, "length")],
      [first, done(0)],
    ];
    const seen: unknown[] = [];
    for (const [requestId, event] of sent.slice(0, 2)) served.send(requestId, event);
    const stream = await streaming;
    // Each event arrives before the next is sent, so that the order is that of the events.
    let next = 2;
    const reader = stream[Symbol.asyncIterator]();
    for (let numChunks = 0; numChunks < 8; numChunks++) {
      if (numChunks >= 2 && next < sent.length) served.send(...sent[next++]);
      const { value } = await reader.next();
      if (value)
        seen.push(...value.choices.map(({ index, delta, finish_reason }) => [index, delta.content, finish_reason]));
      if (value?.choices.length === 0) seen.push([value.usage?.prompt_tokens, value.usage?.completion_tokens]);
    }
    expect(seen).toEqual([
      [0, "", null],
      [1, "", null],
      [1, "b", null],
      [0, "a", null],
      [1, "c", null],
      [1, undefined, "length"],
      [0, undefined, "stop"],
      [10, 3],
    ]);
  });

  it.each([[true], [false]])("rejects when one choice is refused, and ends the others (stream: %s)", async (stream) => {
    const { engine, served } = await start((engine, { requestId }) => {
      engine.send(requestId, engine.requests.length === 2 ? refused : STARTED);
    });
    await expect(engine.completions.create({ prompt: "a", n: 3, stream })).rejects.toMatchObject({
      code: "cache_too_small",
    });
    await vi.waitFor(() => expect([...served.aborted].sort()).toEqual([0, 2].map((i) => served.requests[i].requestId)));
  });

  it("fails when one choice does, behind what came before, and ends the others", async () => {
    const { engine, served } = await start((engine, { requestId }) => {
      const events = engine.requests.length === 1 ? [STARTED] : [STARTED, text("b"), refused];
      engine.send(requestId, ...events);
    });
    const texts: string[] = [];
    const read = async () => {
      const stream = await engine.completions.create({ prompt: "a", n: 2, stream: true });
      for await (const { choices } of stream) texts.push(choices[0].text);
    };
    await expect(read()).rejects.toMatchObject({ code: "cache_too_small" });
    expect(texts).toEqual(["b"]);
    await vi.waitFor(() => expect(served.aborted).toEqual([served.requests[0].requestId]));
  });

  it.each([
    ["before the engine accepted them", []],
    ["while they run", [STARTED, text("a")]],
  ])("is aborted as a whole, %s", async (_, events) => {
    const { engine, served } = await start((engine, { requestId }) => engine.send(requestId, ...events));
    const controller = new AbortController();
    const answer = engine.completions.create({ prompt: "a", n: 2 }, { signal: controller.signal });
    const rejection = expect(answer).rejects.toMatchObject({ code: "aborted", cause: "stop it" });
    await vi.waitFor(() => expect(served.requests).toHaveLength(2));
    controller.abort("stop it");
    await rejection;
    await vi.waitFor(() => expect(served.aborted).toHaveLength(2));
  });

  it("is aborted as a whole when the loop over a stream is left", async () => {
    const { engine, served } = await start((engine, { requestId }) => engine.send(requestId, STARTED, text("a")));
    for await (const _ of await engine.completions.create({ prompt: "a", n: 2, stream: true })) break;
    await vi.waitFor(() => expect(served.aborted).toHaveLength(2));
  });
});

describe("several prompts", () => {
  it("have n choices each, one prompt behind another", async () => {
    const { engine, served } = await start(answerByIndex);
    const answer = await engine.completions.create({ prompt: ["a", "b"], n: 2, seed: 5 });
    expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([0, 1, 2, 3].map((i) => [i, `text ${i}`]));
    expect(served.requests.map(({ input, sampling }) => [input, sampling.seed])).toEqual([
      [{ kind: "text", text: "a" }, [5, 0]],
      [{ kind: "text", text: "a" }, [6, 0]],
      [{ kind: "text", text: "b" }, [5, 0]],
      [{ kind: "text", text: "b" }, [6, 0]],
    ]);
    expect(answer.usage).toMatchObject({ prompt_tokens: 22, completion_tokens: 10 });
    expect(answer.usage.prompt_tokens_details.cached_tokens).toBe(6);
  });

  it("may be ids, and one prompt in an array", async () => {
    const { engine, served } = await start(answerByIndex);
    await engine.completions.create({ prompt: [[2, 7], [3]] });
    await engine.completions.create({ prompt: ["a"], return_token_ids: true });
    expect(served.requests.map(({ input }) => input)).toEqual([
      { kind: "tokens", tokenIds: [2, 7] },
      { kind: "tokens", tokenIds: [3] },
      { kind: "text", text: "a" },
    ]);
  });

  it.each([
    [{ prompt: ["a", 7] }, "prompt[1]"],
    [{ prompt: [[1], [2, "a"]] }, "prompt[1][1]"],
    [{ prompt: ["a", "b"], return_token_ids: true }, "return_token_ids"],
  ])("are refused: %j, naming %s", async (body, param) => {
    const { engine, served } = await start(answerByIndex);
    const call = engine.completions.create(body as never);
    await expect(call).rejects.toMatchObject({ code: "invalid_request", data: { param } });
    expect(served.requests).toEqual([]);
  });
});
