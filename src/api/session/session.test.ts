import { afterEach, describe, expect, it, vi } from "vitest";
import type { GenerateRequest } from "../../protocol/messages";
import type { AssistantMessageParam } from "../openai-types";
import { DONE, endWorkers, noTemplate, said, sent, startEngine, tokensOf } from "./session.fixture";
import type { SessionOptions } from "./session-types";

afterEach(endWorkers);

async function startSession(options?: SessionOptions, reply?: (request: GenerateRequest) => string | null) {
  const { engine, served, worker } = await startEngine(reply);
  return { engine, served, worker, session: await engine.session(options) };
}

const shape = (messages: readonly { role: string; content?: unknown }[]) =>
  messages.map(({ role, content }) => `${role}: ${content}`);

describe("prompts", () => {
  it("are answered from all that was said, with the session's options and their own", async () => {
    const { session, served } = await startSession({
      system: "Be kind.",
      messages: [
        { role: "user", content: "A" },
        { role: "assistant", content: "B" },
      ],
      temperature: 0.5,
      max_tokens: 9,
      kv: { store: "ram" },
      cache_salt: "mine",
    });
    expect(await session.prompt("C?")).toBe("Yes. No");
    const said = ["system: Be kind.", "user: A", "assistant: B", "user: C?", "assistant: Yes. No"];
    expect(shape(session.messages)).toEqual(said);
    await session.prompt("D?", { temperature: 1, top_k: 3, max_tokens: null });
    const requests = served.requests.map(({ maxTokens, sampling, kvStore, cacheSalt }) => {
      return [maxTokens, sampling.temperature, sampling.topK, kvStore, cacheSalt];
    });
    expect(requests).toEqual([
      [9, 0.5, null, "ram", "mine"],
      [9, 1, 3, "ram", "mine"],
    ]);
    expect(served.requests.map(sent)).toEqual([said.slice(0, 4), [...said, "user: D?"]]);
    expect(session.lastUsage?.prompt_tokens_details.cached_tokens).toBe(3);
  });

  it.each([
    [{ max_tokens: 9 }, { max_completion_tokens: 5 }],
    [{ max_completion_tokens: 9 }, { max_tokens: 5 }],
  ])("of a session with %j have the limit %j where they say so", async (options, own) => {
    const { session, served } = await startSession(options);
    await session.prompt("A", own);
    await session.prompt("B");
    expect(served.requests.map(({ maxTokens }) => maxTokens)).toEqual([5, 9]);
    const both = session.prompt("C", { max_tokens: 3, max_completion_tokens: 4 });
    await expect(both).rejects.toMatchObject({ data: { param: "max_completion_tokens" } });
  });

  it("come in pieces, and are answered though nobody reads them", async () => {
    const { session } = await startSession();
    const pieces: string[] = [];
    for await (const piece of session.promptStreaming("C?")) pieces.push(piece);
    expect(pieces).toEqual(["Yes.", " No"]);
    session.promptStreaming("D?");
    await session.prompt("E?");
    const answered = ["user: C?", "assistant: Yes. No", "user: D?", "assistant: Yes. No", "user: E?"];
    expect(shape(session.messages)).toEqual([...answered, "assistant: Yes. No"]);
  });

  it("wait for one another, in order", async () => {
    const { session, served } = await startSession({}, () => null);
    const answers = [session.prompt("1"), session.prompt("2")];
    await vi.waitFor(() => expect(served.requests).toHaveLength(1));
    expect(served.requests.map(sent)).toEqual([["user: 1"]]);
    served.send(served.requests[0].requestId, said("a"), DONE);
    await vi.waitFor(() => expect(served.requests).toHaveLength(2));
    expect(sent(served.requests[1])).toEqual(["user: 1", "assistant: a", "user: 2"]);
    served.send(served.requests[1].requestId, said("b"), DONE);
    expect(await Promise.all(answers)).toEqual(["a", "b"]);
  });

  it("may be several messages, such as what tools returned, and are copied", async () => {
    const { session } = await startSession();
    const input = [
      { role: "user" as const, content: "A" },
      { role: "assistant" as const, content: "B" },
      { role: "user" as const, content: "C" },
    ];
    const answer = session.prompt(input);
    input[0].content = "changed";
    await answer;
    session.messages.pop();
    const got = session.messages[0] as { content: string };
    got.content = "changed";
    expect(shape(session.messages)).toEqual(["user: A", "assistant: B", "user: C", "assistant: Yes. No"]);
  });

  it("may lead to tool calls, which are part of the conversation, and so is what they return", async () => {
    const call = '<tool_call>{"name": "add", "arguments": {"x": 1}}</tool_call>';
    const reply = ({ input }: GenerateRequest) => (sent({ input }).length === 1 ? call : "Two.");
    const add = { type: "function", function: { name: "add", parameters: { type: "object" } } } as const;
    const { engine, served } = await startEngine(reply, { toolFormat: "hermes" });
    const session = await engine.session({ tools: [add], max_tokens: 9 });
    expect(await session.prompt("A")).toBe("");
    const tool_calls = [{ id: expect.any(String), type: "function", function: { name: "add", arguments: '{"x": 1}' } }];
    expect(session.messages.at(-1)).toEqual({ role: "assistant", content: null, tool_calls });
    const answer = session.messages.at(-1) as AssistantMessageParam;
    const tool = { role: "tool", tool_call_id: answer.tool_calls![0].id, content: "2" } as const;
    expect(await session.prompt([tool])).toBe("Two.");
    expect(session.messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
    expect(served.requests[1].input).toMatchObject({ tools: [{ function: { name: "add" } }] });
    const unknown = session.prompt([{ ...tool, tool_call_id: "none" }]);
    await expect(unknown).rejects.toMatchObject({ data: { param: "messages[4].tool_call_id" } });
  });

  it("keep to a schema, by either name", async () => {
    const { session, served } = await startSession();
    const schema = { type: "object", properties: { a: { type: "number" } } } as const;
    const response_format = { type: "json_schema", json_schema: { name: "response", schema } } as const;
    await session.prompt("A", { responseConstraint: schema });
    await session.prompt("B", { response_format });
    await session.prompt("C");
    const [byConstraint, byFormat, free] = served.requests.map(({ grammar }) => grammar);
    expect(byConstraint).toBeDefined();
    expect(byConstraint).toEqual(byFormat);
    expect(free).toBe(undefined);
  });

  it.each([
    [{ system: 5 }, "invalid_request", "system"],
    [{ onOverflow: "forget" }, "invalid_request", "onOverflow"],
    [{ messages: "A" }, "invalid_request", "messages"],
    [{ messages: [{ role: "user", content: 5 }] }, "invalid_request", "messages[0].content"],
    [{ temperature: 3 }, "invalid_request", "temperature"],
    [{ stream: true }, "unsupported_parameter", "stream"],
    [{ n: 2 }, "unsupported_parameter", "n"],
    [{ initialPrompts: [] }, "unsupported_parameter", "initialPrompts"],
    [{ temperature: () => 1 }, "invalid_request", "options"],
    [[], "invalid_request", "options"],
  ])("are not even asked for in a session of %j", async (options, code, param) => {
    const { engine } = await startEngine();
    await expect(engine.session(options as never)).rejects.toMatchObject({ code, data: { param } });
  });

  it.each([
    [5, {}, "invalid_request", "input"],
    [[], {}, "invalid_request", "input"],
    [[{ role: "user" }], {}, "invalid_request", "messages[2].content"],
    [
      [
        { role: "user", content: "A" },
        { role: "user", content: 5 },
      ],
      {},
      "invalid_request",
      "messages[2].content[1].text",
    ],
    ["A", { top_p: 3 }, "invalid_request", "top_p"],
    ["A", null, "invalid_request", "options"],
    ["A", { stream: true }, "unsupported_parameter", "stream"],
    ["A", { messages: [] }, "unsupported_parameter", "messages"],
    ["A", { signal: "now" }, "invalid_request", "options.signal"],
    ["A", { responseConstraint: {}, response_format: { type: "text" } }, "invalid_request", "responseConstraint"],
  ])("%j with %j are refused, and the session goes on", async (input, options, code, param) => {
    const { session, served } = await startSession();
    await session.prompt("0");
    await expect(session.prompt(input as never, options as never)).rejects.toMatchObject({ code, data: { param } });
    expect(served.requests).toHaveLength(1);
    await session.prompt("1");
    expect(shape(session.messages)).toEqual(["user: 0", "assistant: Yes. No", "user: 1", "assistant: Yes. No"]);
  });
});

describe("a prompt that does not end", () => {
  it("leaves the conversation as it was when it is aborted, fails, or its reader leaves", async () => {
    const { session, served, engine } = await startSession({ messages: [{ role: "user", content: "A" }] }, () => null);
    const before = { messages: session.messages, usage: session.contextUsage };
    const latest = () => served.requests[served.requests.length - 1].requestId;
    const controller = new AbortController();
    const aborted = session.prompt("B", { signal: controller.signal });
    await vi.waitFor(() => expect(served.requests).toHaveLength(1));
    served.send(latest(), said("half"));
    controller.abort("enough");
    await expect(aborted).rejects.toMatchObject({ code: "aborted", cause: "enough" });
    await vi.waitFor(() => expect(served.aborted).toEqual([latest()]));

    const failed = session.prompt("C");
    await vi.waitFor(() => expect(served.requests).toHaveLength(2));
    const error = { code: "numerical", message: "NaN", data: {} } as const;
    served.send(latest(), said("half"), { kind: "error", error });
    await expect(failed).rejects.toMatchObject({ code: "numerical" });

    const streamed = session.promptStreaming("D");
    const first = streamed.next();
    await vi.waitFor(() => expect(served.requests).toHaveLength(3));
    served.send(latest(), said("half"));
    expect(await first).toEqual({ done: false, value: "half" });
    await streamed.return();
    await vi.waitFor(() => expect(served.aborted).toHaveLength(2));

    expect({ messages: session.messages, usage: session.contextUsage }).toEqual(before);
    const next = expect(session.prompt("E")).rejects.toMatchObject({ code: "disposed" });
    await vi.waitFor(() => expect(served.requests).toHaveLength(4));
    expect(sent(served.requests[3])).toEqual(["user: A\nE"]);
    await engine.dispose();
    await next;
  });

  it("is aborted at once while it waits for another, and never asked", async () => {
    const { session, served } = await startSession({}, () => null);
    const first = session.prompt("A");
    const controller = new AbortController();
    const second = session.prompt("B", { signal: controller.signal });
    await vi.waitFor(() => expect(served.requests).toHaveLength(1));
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: "aborted" });
    served.send(served.requests[0].requestId, said("a"), DONE);
    await first;
    expect(await session.measureContextUsage("x")).toBe(3);
    expect(served.requests).toHaveLength(1);
  });

  it("is not begun for a signal that is aborted already", async () => {
    const { session, served } = await startSession();
    const options = { signal: AbortSignal.abort("never mind") };
    await expect(session.prompt("A", options)).rejects.toMatchObject({ code: "aborted", cause: "never mind" });
    expect([served.requests, session.messages]).toEqual([[], []]);
  });
});

describe("the context", () => {
  it("is counted as the template writes it, after each change", async () => {
    const { session } = await startSession({ system: "Be kind." });
    expect([session.contextUsage, session.contextWindow]).toEqual([10, 64]);
    expect(await session.measureContextUsage("12345")).toBe(7);
    await session.prompt("12345");
    expect(session.contextUsage).toBe(10 + 7 + 9);
    await session.append("678");
    expect(session.contextUsage).toBe(10 + 7 + 9 + 5);
  });

  it("of nothing is empty; where the template cannot write it yet, it is that of the texts", async () => {
    const { engine, served } = await startEngine();
    expect((await engine.session()).contextUsage).toBe(0);
    served.tokensOf = (input) => (input.kind === "chat" ? noTemplate() : tokensOf(input));
    const session = await engine.session({ system: "Be kind." });
    expect(session.contextUsage).toBe(8);
  });

  it("that is too small for a prompt is an error before anything is generated, and the session goes on", async () => {
    const { session } = await startSession({ system: "Be kind." });
    await session.prompt("A");
    const before = session.messages;
    await expect(session.prompt("x".repeat(40))).rejects.toMatchObject({
      code: "context_length_exceeded",
      data: { numPromptTokens: 10 + 3 + 9 + 42 + 4, maxModelLen: 64 },
    });
    expect(session.messages).toEqual(before);
    await session.prompt("B");
    expect(session.messages).toHaveLength(5);
  });
});

describe("with drop-oldest", () => {
  const messages = [
    { role: "user", content: "1111" },
    { role: "assistant", content: "2222" },
    { role: "user", content: "3333" },
    { role: "assistant", content: "4444" },
  ] as const;
  const options = { system: "Sys", messages, onOverflow: "drop-oldest", max_tokens: 10 } as const;
  // 5 of the system message, 12 a turn, 4 of the answer's start, 10 for the answer.
  const ALL_FIT = 64 - 5 - 24 - 4 - 10 - 2;

  it("nothing is dropped while all fits", async () => {
    const { session, served } = await startSession(options);
    await session.prompt("x".repeat(ALL_FIT));
    expect(sent(served.requests[0])).toHaveLength(6);
    expect(session.numDroppedMessages).toBe(0);
  });

  it.each([
    [1, ALL_FIT + 1],
    [1, ALL_FIT + 12],
    [2, ALL_FIT + 13],
    [2, ALL_FIT + 24],
  ])("whole turns are dropped, %i of them for %i more characters, and never the system message", async (n, length) => {
    const { session, served } = await startSession(options);
    const left = ["system: Sys", ...shape(messages.slice(2 * n)), `user: ${"x".repeat(length)}`];
    await session.prompt("x".repeat(length));
    expect(served.requests.map(sent)).toEqual([left]);
    expect(shape(session.messages)).toEqual([...left, "assistant: Yes. No"]);
    expect(session.numDroppedMessages).toBe(2 * n);
    await session.prompt("x".repeat(ALL_FIT + 24));
    expect(session.numDroppedMessages).toBe(6);
  });

  it("an answer has a quarter of the context where it may be longer, or less where nothing is left to drop", async () => {
    const { session } = await startSession({ ...options, max_tokens: null });
    await session.prompt("x".repeat(ALL_FIT + 10 - 16));
    expect(session.numDroppedMessages).toBe(0);
    const other = await startSession({ ...options, max_tokens: 60 });
    await other.session.prompt("x".repeat(64 - 5 - 4 - 2 - 1));
    expect(other.session.numDroppedMessages).toBe(4);
  });

  it("a prompt that does not fit even alone is the error, and nothing is dropped", async () => {
    const { session } = await startSession(options);
    const before = session.messages;
    await expect(session.prompt("x".repeat(64))).rejects.toMatchObject({
      code: "context_length_exceeded",
      data: { numPromptTokens: 5 + 66 + 4, maxModelLen: 64 },
    });
    expect([session.messages, session.numDroppedMessages]).toEqual([before, 0]);
  });

  it("what is appended makes room as well", async () => {
    const { session } = await startSession(options);
    await session.append("x".repeat(ALL_FIT + 10));
    expect([session.numDroppedMessages, session.messages.length]).toEqual([2, 4]);
  });
});

describe("append", () => {
  it("computes what it adds and keeps nothing of the answer", async () => {
    const { session, served } = await startSession({ system: "Sys", kv: { store: "none" }, stop: "x", temperature: 1 });
    await session.append([{ role: "user", content: "A" }]);
    expect(shape(session.messages)).toEqual(["system: Sys", "user: A"]);
    expect(served.requests).toEqual([
      {
        requestId: expect.stringMatching(/^session-[0-9a-f-]{36}$/),
        input: {
          kind: "chat",
          messages: [
            { role: "system", content: "Sys" },
            { role: "user", content: "A" },
          ],
          addGenerationPrompt: false,
        },
        maxTokens: 1,
        sampling: { temperature: 0 },
        stop: [],
        priority: 0,
        usePrefixCache: true,
        cacheSalt: null,
        kvStore: "none",
      },
    ]);
  });

  it("only adds where the KV would not be cached", async () => {
    const { session, served } = await startSession({ kv: { cache: false } });
    await session.append("A");
    expect([served.requests, shape(session.messages)]).toEqual([[], ["user: A"]]);
  });

  it("only adds where the template cannot write it yet", async () => {
    const { engine, served } = await startEngine((request) => (sent(request)[0] === "system: Sys" ? null : "a"));
    const session = await engine.session();
    const appended = session.append([{ role: "system", content: "Sys" }]);
    await vi.waitFor(() => expect(served.requests).toHaveLength(1));
    const error = { code: "chat_template", message: "no user message", data: {} } as const;
    served.send(served.requests[0].requestId, { kind: "error", error });
    await appended;
    expect(shape(session.messages)).toEqual(["system: Sys"]);
  });

  it("adds nothing where it is aborted, too long, or unknown", async () => {
    const { session, served } = await startSession({}, () => null);
    const controller = new AbortController();
    const aborted = session.append("A", { signal: controller.signal });
    await vi.waitFor(() => expect(served.requests).toHaveLength(1));
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    await expect(session.append("x".repeat(64))).rejects.toMatchObject({ code: "context_length_exceeded" });
    const unknown = session.append("A", { max_tokens: 3 } as never);
    await expect(unknown).rejects.toMatchObject({ code: "unsupported_parameter", data: { param: "max_tokens" } });
    expect(session.messages).toEqual([]);
  });
});

describe("clone", () => {
  it("goes on by itself from where the session is, after what was asked before", async () => {
    const { session, served } = await startSession({ system: "Sys", temperature: 0.5 });
    const answer = session.prompt("A");
    const other = await session.clone();
    expect(other.messages).toEqual(session.messages);
    expect(other.contextUsage).toBe(session.contextUsage);
    await answer;
    expect(served.requests).toHaveLength(1);
    await Promise.all([session.prompt("B"), other.prompt("C")]);
    expect(shape(session.messages.slice(3))).toEqual(["user: B", "assistant: Yes. No"]);
    expect(shape(other.messages.slice(3))).toEqual(["user: C", "assistant: Yes. No"]);
    expect(served.requests.map(({ sampling }) => sampling.temperature)).toEqual([0.5, 0.5, 0.5]);
    session.destroy();
    await other.prompt("D");
    expect(other.messages).toHaveLength(7);
  });
});

describe("destroy", () => {
  it("aborts what runs and waits, and refuses the rest", async () => {
    const { session, served } = await startSession({}, () => null);
    const calls = [session.prompt("A"), session.append("B"), session.clone()];
    const ends = calls.map((call) => expect(call).rejects.toMatchObject({ code: "aborted" }));
    await vi.waitFor(() => expect(served.requests).toHaveLength(1));
    session.destroy();
    session.destroy();
    await Promise.all(ends);
    await vi.waitFor(() => expect(served.aborted).toHaveLength(1));
    for (const late of [session.prompt("A"), session.append("B"), session.measureContextUsage("C"), session.save()]) {
      await expect(late).rejects.toMatchObject({ code: "disposed", message: "The session was destroyed." });
    }
    expect([served.requests.length, session.messages]).toEqual([1, []]);
  });
});

it("the engine's end is that of its sessions' calls", async () => {
  const { engine, worker, session } = await startSession({}, () => null);
  const answer = session.prompt("A");
  const end = expect(answer).rejects.toMatchObject({ code: "worker_failed" });
  worker.fail("out of memory");
  await end;
  await expect(engine.session({ system: "A" })).rejects.toMatchObject({ code: "worker_failed" });
});
