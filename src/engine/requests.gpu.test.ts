import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerateEvent, GenerateRequest } from "../protocol/messages";
import { openDawnGpu } from "../testing/gpu";
import {
  expectGolden,
  expectServing,
  GREETING,
  loadTestEngine,
  OTHER_CASES,
  TestRequest,
} from "../testing/test-engine";
import type { ErrorCode } from "../util/errors";
import type { Engine } from "./engine";

const MAX_NUM_RUNNING = 4;
const dawn = await openDawnGpu();
let engine: Engine;

beforeAll(async () => {
  if (dawn) engine = await loadTestEngine(dawn, { engine: { maxNumRunning: MAX_NUM_RUNNING } });
});
afterAll(() => engine?.dispose());

const tokens = (tokenIds: readonly number[]) => ({ input: { kind: "tokens", tokenIds } }) as const;
const chat = (...messages: { role: string; content: string }[]) => ({ input: { kind: "chat", messages } }) as const;
const LONG_PROMPT = Array.from({ length: 700 }, (_, index) => 100 + (index % 500));

describe.skipIf(!dawn)("a request that cannot be answered", () => {
  const cases: readonly (readonly [string, Partial<GenerateRequest>, ErrorCode, unknown])[] = [
    ["has no tokens", tokens([]), "invalid_request", { param: "prompt" }],
    [
      "fills the context",
      tokens(new Array(1024).fill(7)),
      "context_length_exceeded",
      { numPromptTokens: 1024, maxModelLen: 1024 },
    ],
    [
      "has an id past the vocabulary",
      tokens([2, 7, 2048]),
      "invalid_request",
      { param: "prompt[2]", value: 2048, vocabSize: 2048 },
    ],
    ["has a negative id", tokens([2, -1]), "invalid_request", { param: "prompt[1]", value: -1, vocabSize: 2048 }],
    [
      "has an id that is no integer",
      tokens([1.5]),
      "invalid_request",
      { param: "prompt[0]", value: 1.5, vocabSize: 2048 },
    ],
    ["asks for no tokens", { maxTokens: 0 }, "invalid_request", { param: "max_tokens" }],
    [
      "is a conversation that the template refuses",
      chat({ role: "assistant", content: "Hi" }, { role: "user", content: "Hello!" }),
      "chat_template",
      { reason: expect.stringContaining("roles must alternate") },
    ],
  ];

  it.each(cases)("%s", async (_, request, code, data) => {
    const { end, tokenIds, promptTokenIds } = await new TestRequest(engine, request).outcome;
    expect(end).toMatchObject({ code, data });
    expect({ tokenIds, promptTokenIds }).toEqual({ tokenIds: [], promptTokenIds: null });
    await expectServing(engine);
  });

  it("has the id of a live one, which goes on", async () => {
    const first = new TestRequest(engine, { requestId: "twice" });
    const second = new TestRequest(engine, { requestId: "twice" });
    expect((await second.outcome).end).toMatchObject({ code: "invalid_request", data: { param: "requestId" } });
    expectGolden(await first.outcome, GREETING);
    await expectServing(engine);
  });
});

describe.skipIf(!dawn)("a context that is full", () => {
  it("ends the last request that fits with `length`", async () => {
    const { end, tokenIds } = await new TestRequest(engine, tokens(new Array(1023).fill(7))).outcome;
    expect({ end, numTokens: tokenIds.length }).toEqual({ end: "length", numTokens: 1 });
    await expectServing(engine);
  });
});

/** Aborts a request when it sends its n-th event of a kind. */
function abortAt(kind: GenerateEvent["kind"], count: number, request: Partial<GenerateRequest>): TestRequest {
  let numSeen = 0;
  const live: TestRequest = new TestRequest(engine, request, (event) => {
    if (event.kind === kind && ++numSeen === count) live.abort();
  });
  return live;
}

describe.skipIf(!dawn)("an aborted request", () => {
  const aborted = { code: "aborted", data: {} };

  it("ends before it began", async () => {
    const live = new TestRequest(engine, {});
    live.abort();
    expect((await live.outcome).end).toMatchObject(aborted);
    await expectServing(engine);
  });

  it("ends in its prefill, whose step still runs", async () => {
    const { end, tokenIds, promptTokenIds } = await abortAt("started", 1, tokens(LONG_PROMPT)).outcome;
    expect(end).toMatchObject(aborted);
    expect({ tokenIds, promptTokenIds }).toEqual({ tokenIds: [], promptTokenIds: LONG_PROMPT });
    await expectServing(engine);
  });

  it("ends in the midst of its answer and keeps what it sent", async () => {
    const { end, tokenIds } = await abortAt("delta", 4, {}).outcome;
    expect(end).toMatchObject(aborted);
    expect(tokenIds).toEqual(GREETING.greedyIds.slice(0, 4));
    await expectServing(engine);
  });

  it("that has ended stays as it is, and so does one that never was", async () => {
    const live = new TestRequest(engine, {});
    await live.outcome;
    const numEvents = live.events.length;
    live.abort();
    engine.abort("nobody");
    await expectServing(engine);
    expect(live.events).toHaveLength(numEvents);
  });

  it("leaves the one beside it exact", async () => {
    const [other] = OTHER_CASES;
    const gone = abortAt("delta", 2, {});
    const stays = new TestRequest(engine, { input: other.input });
    expect((await gone.outcome).end).toMatchObject(aborted);
    expectGolden(await stays.outcome, other);
    await expectServing(engine);
  });

  it("in the queue gives way to those behind it", async () => {
    const running = Array.from({ length: MAX_NUM_RUNNING }, () => new TestRequest(engine, {}));
    const waiting = new TestRequest(engine, {});
    const last = new TestRequest(engine, {});
    waiting.abort();
    expect((await waiting.outcome).end).toMatchObject(aborted);
    for (const request of [...running, last]) expectGolden(await request.outcome, GREETING);
    await expectServing(engine);
  });
});
