import { afterEach, describe, expect, it } from "vitest";
import type { GenerateEvent, GenerateRequest } from "../protocol/messages";
import { BOS, EOS, id, makeParts, makeRequest, settle, summarize } from "../testing/engine-parts";
import { ScriptedRunner } from "../testing/scripted-runner";
import { loadTestTokenizer } from "../tokenizer/test-tokenizers";
import { CairnError } from "../util/errors";
import { Engine } from "./engine";
import type { EngineParts } from "./engine-parts";
import type { ModelRunner } from "./model-runner";

const IDS_ABCD = [id("a"), id("b"), id("c"), id("d")];
const engines: { parts: EngineParts; isDead: boolean }[] = [];

function makeEngine(runner: ModelRunner, overrides: Partial<EngineParts> = {}, now?: () => number) {
  const parts = makeParts(runner, overrides);
  const engine = new Engine(parts, now);
  const state = { parts, isDead: false };
  engines.push(state);
  const generate = (request: GenerateRequest): GenerateEvent[] => {
    const events: GenerateEvent[] = [];
    engine.generate(request, (event) => events.push(event));
    return events;
  };
  return { engine, generate, state };
}

afterEach(async () => {
  await settle();
  for (const { parts, isDead } of engines.splice(0)) {
    if (isDead) continue;
    parts.scheduler.checkIntegrity();
    expect(parts.scheduler.hasUnfinished).toBe(false);
  }
});

describe("a request's way through the engine", () => {
  it("gives the prompt's ids, text and ids as they come, and the end at EOS, which is no text", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r: [id("a"), id("Ġ"), EOS] }));
    const events = generate(makeRequest("r"));
    expect(events).toEqual([]);
    await settle();
    expect(events).toEqual([
      { kind: "started", promptTokenIds: [BOS, id("a"), id("b")] },
      { kind: "delta", text: "a", tokenIds: [id("a")] },
      { kind: "delta", text: " ", tokenIds: [id("Ġ")] },
      { kind: "delta", text: "", tokenIds: [EOS] },
      {
        kind: "done",
        finishReason: "stop",
        usage: {
          promptTokens: 3,
          completionTokens: 3,
          cachedTokens: 0,
          cachedTokensByTier: { gpu: 0, host: 0, storage: 0 },
        },
        timings: expect.any(Object),
      },
    ]);
  });

  /** Of each delta that has text or logprobs: the text, and of each token its text, logprob, offset and alternatives. */
  const logprobsOf = (events: readonly GenerateEvent[]) =>
    events.flatMap((event) => {
      if (event.kind !== "delta" || (event.text === "" && event.logprobs?.length === 0)) return [];
      const entries = event.logprobs?.map(({ token, logprob, textOffset, top }) => {
        return [token, logprob, textOffset, ...top.map((other) => other.token)].join(" ");
      });
      return [[event.text, entries]];
    });

  it("gives logprobs where asked, with the text in which each token begins; EOS and stop strings have none", async () => {
    const script = { r: [id("a"), id("ð"), id("b"), EOS], stop: [id("ab"), id("c"), id("d"), id("a")] };
    const { generate } = makeEngine(new ScriptedRunner(script));
    const sampling = { temperature: 0, numLogprobs: 3 };
    const events = generate(makeRequest("r", { sampling }));
    const stopped = generate(makeRequest("stop", { sampling: { numLogprobs: 0 }, stop: ["bcd"] }));
    await settle();
    expect(logprobsOf(events)).toEqual([
      ["a", ["a -2 0 <bos> <eos> a"]],
      ["\uFFFDb", ["\uFFFD -10 1 <bos> <eos> a", "b -3 1 <bos> <eos> a"]],
    ]);
    expect(events).toContainEqual(expect.objectContaining({ kind: "delta", tokenIds: [EOS], logprobs: [] }));
    expect(logprobsOf(stopped)).toEqual([["a", ["ab -7 0"]]]);
  });

  it("gives the logprobs of a character's tokens with the character, those without one at the end, and bytes", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r: [id("a"), id("ð")], s: [BOS, EOS] }));
    const events = generate(makeRequest("r", { maxTokens: 2, sampling: { numLogprobs: 0 } }));
    const special = generate(makeRequest("s", { sampling: { numLogprobs: 0 } }));
    await settle();
    expect(logprobsOf(events)).toEqual([
      ["a", ["a -2 0"]],
      ["\uFFFD", ["\uFFFD -10 1"]],
    ]);
    expect(events).toContainEqual(expect.objectContaining({ logprobs: [expect.objectContaining({ bytes: [0xf0] })] }));
    expect(logprobsOf(special)).toEqual([["", ["<bos> 0 0"]]]);
  });

  it("ends with `length` at maxTokens and writes what is left of a cut character as U+FFFD", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r: [id("a"), id("ð")] }));
    const events = generate(makeRequest("r", { maxTokens: 2 }));
    await settle();
    expect(summarize(events)).toBe('started "a" "\uFFFD" done:length');
  });

  it("shows special tokens where they are asked for, but never the one that ends the text", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r: [id("a"), BOS, EOS] }));
    const events = generate(makeRequest("r", { keepSpecialTokens: true }));
    await settle();
    expect(summarize(events)).toBe('started "a" "<bos>" "" done:stop');
  });

  it("tells that the text begins within thoughts", async () => {
    const tokenizer = loadTestTokenizer("embedded");
    const info = { ...makeParts(new ScriptedRunner({})).info, vocabSize: tokenizer.vocabSize };
    const { generate } = makeEngine(new ScriptedRunner({ r: [EOS], s: [EOS] }), { tokenizer, info });
    const thinking = generate(makeRequest("r", { input: { kind: "text", text: "<think>\n" } }));
    const plain = generate(makeRequest("s", { input: { kind: "text", text: "think" } }));
    await settle();
    expect(thinking[0]).toMatchObject({ kind: "started", isThinking: true });
    expect(plain[0]).not.toHaveProperty("isThinking");
  });

  it("ends with `length` at the end of the context where no maxTokens was given", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r: new Array(32).fill(id("a")) }));
    const events = generate(makeRequest("r", { maxTokens: null }));
    await settle();
    expect(events.at(-1)).toMatchObject({ finishReason: "length", usage: { promptTokens: 3, completionTokens: 29 } });
  });

  it("tells when it was scheduled, had its first token, and ended", async () => {
    let nowMs = 100;
    const runner = new ScriptedRunner({ r: [id("a"), EOS] });
    const { generate } = makeEngine(runner, {}, () => nowMs);
    runner.hold();
    const events = generate(makeRequest("r"));
    nowMs = 107;
    await settle();
    nowMs = 120;
    runner.release();
    await settle();
    expect(events.at(-1)).toMatchObject({ timings: { queueMs: 7, timeToFirstTokenMs: 20, totalMs: 20 } });
  });

  it("runs several requests in one batch, more than fit one after another", async () => {
    const runner = new ScriptedRunner({ r1: [...IDS_ABCD, EOS], r2: [id("c"), EOS], r3: [id("d"), EOS] });
    const { generate } = makeEngine(runner);
    const all = ["r1", "r2", "r3"].map((requestId) => generate(makeRequest(requestId)));
    await settle();
    expect(all.map(summarize)).toEqual([
      'started "a" "b" "c" "d" "" done:stop',
      'started "c" "" done:stop',
      'started "d" "" done:stop',
    ]);
    const batches = runner.steps.map((step) => step.scheduled.map(({ requestId }) => requestId).join());
    // The last step was submitted before the EOS of r1 was known.
    expect(batches).toEqual(["r1,r2", "r1,r2", "r1,r3", "r1,r3", "r1", "r1"]);
  });
});

describe("stop strings", () => {
  it("end the text before them, also across tokens", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r: IDS_ABCD }));
    const events = generate(makeRequest("r", { stop: ["bcd"] }));
    await settle();
    expect(summarize(events)).toBe('started "a" "" "" "" done:stop');
    expect(events.at(-1)).toMatchObject({ usage: { completionTokens: 4 } });
  });

  it("inside a token cut its text", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r: [id("ab"), id("cd")] }));
    const events = generate(makeRequest("r", { stop: ["c"] }));
    await settle();
    expect(summarize(events)).toBe('started "ab" "" done:stop');
  });

  it("that do not come give back what was held", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r: [id("a"), id("b"), EOS] }));
    const events = generate(makeRequest("r", { stop: ["abc"] }));
    await settle();
    expect(summarize(events)).toBe('started "" "" "ab" done:stop');
  });

  it("found in the last allowed token count as `stop`", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r: [id("a"), id("b")] }));
    const events = generate(makeRequest("r", { stop: ["b"], maxTokens: 2 }));
    await settle();
    expect(summarize(events)).toBe('started "a" "" done:stop');
  });
});

describe("abort", () => {
  it("ends a request before its first step", async () => {
    const runner = new ScriptedRunner({});
    const { engine, generate } = makeEngine(runner);
    const events = generate(makeRequest("r"));
    engine.abort("r");
    await settle();
    expect(summarize(events)).toBe("started error:aborted");
    expect(runner.steps).toEqual([]);
  });

  it("ends a request at once while its step is in flight; the others go on", async () => {
    const runner = new ScriptedRunner({ r1: IDS_ABCD, r2: [id("c"), EOS] });
    const { engine, generate } = makeEngine(runner);
    runner.hold();
    const [first, second] = ["r1", "r2"].map((requestId) => generate(makeRequest(requestId)));
    await settle();
    engine.abort("r1");
    await settle();
    expect(summarize(first)).toBe("started error:aborted");
    runner.release();
    await settle();
    expect(summarize(first)).toBe("started error:aborted");
    expect(summarize(second)).toBe('started "c" "" done:stop');
  });

  it("ends a request that still waits for a row", async () => {
    const runner = new ScriptedRunner({ r1: [EOS], r2: [EOS] });
    const { engine, generate } = makeEngine(runner);
    runner.hold();
    generate(makeRequest("r1"));
    generate(makeRequest("r2"));
    const waiting = generate(makeRequest("r3"));
    await settle();
    engine.abort("r3");
    await settle();
    expect(summarize(waiting)).toBe("started error:aborted");
    runner.release();
  });

  it("has no effect after the end, twice, or on an unknown id", async () => {
    const { engine, generate } = makeEngine(new ScriptedRunner({ r: [EOS] }));
    const events = generate(makeRequest("r"));
    await settle();
    engine.abort("r");
    engine.abort("r");
    engine.abort("other");
    await settle();
    expect(summarize(events)).toBe('started "" done:stop');
  });

  it("may come from the sink of another request", async () => {
    const runner = new ScriptedRunner({ r1: IDS_ABCD, r2: [id("c"), EOS] });
    const { engine, generate } = makeEngine(runner);
    const events = generate(makeRequest("r1"));
    engine.generate(makeRequest("r2"), (event) => event.kind === "delta" && engine.abort("r1"));
    runner.hold();
    await settle();
    runner.releaseOne();
    await settle();
    expect(summarize(events)).toBe('started "a" error:aborted');
    runner.release();
  });
});

describe("failures of one request", () => {
  it.each<[string, Partial<GenerateRequest>, string]>([
    [
      "a template that refuses",
      { input: { kind: "chat", messages: [{ role: "system", content: "" }] } },
      "chat_template",
    ],
    ["an id out of the vocabulary", { input: { kind: "tokens", tokenIds: [2, 12] } }, "invalid_request"],
    ["an empty prompt", { input: { kind: "tokens", tokenIds: [] } }, "invalid_request"],
    ["a prompt over the context", { input: { kind: "text", text: "a".repeat(31) } }, "context_length_exceeded"],
    ["an id in use", { requestId: "good" }, "invalid_request"],
  ])("%s ends that request only", async (_, fields, code) => {
    const { generate } = makeEngine(new ScriptedRunner({ good: [id("a"), EOS] }));
    const good = generate(makeRequest("good"));
    const bad = generate(makeRequest("bad", fields));
    await settle();
    expect(summarize(bad)).toBe(`error:${code}`);
    expect(summarize(good)).toBe('started "a" "" done:stop');
  });

  it("logits that are not finite end that request only", async () => {
    const { generate } = makeEngine(new ScriptedRunner({ r1: [id("a")], r2: [id("c"), id("d"), EOS] }));
    const [first, second] = ["r1", "r2"].map((requestId) => generate(makeRequest(requestId)));
    await settle();
    expect(summarize(first)).toBe('started "a" error:numerical');
    expect(summarize(second)).toBe('started "c" "d" "" done:stop');
  });

  it("a model without a chat template refuses messages", async () => {
    const { generate } = makeEngine(new ScriptedRunner({}), { chatTemplate: null });
    const events = generate(makeRequest("r", { input: { kind: "chat", messages: [] } }));
    await settle();
    expect(summarize(events)).toBe("error:chat_template");
  });
});

describe("the engine's end", () => {
  const lost = new CairnError("device_lost", "gone", { reason: "unknown" });

  it.each<[string, ModelRunner["submit"]]>([
    ["rejects", () => ({ landed: Promise.reject(lost), transfers: [] })],
    [
      "throws",
      () => {
        throw lost;
      },
    ],
  ])("a runner that %s fails every live request and every later one", async (_, submit) => {
    const { engine, generate, state } = makeEngine({ submit, dispose: () => {} });
    state.isDead = true;
    expect(engine.failure).toBeNull();
    const live = ["r1", "r2", "r3"].map((requestId) => generate(makeRequest(requestId)));
    await settle();
    expect(live.map(summarize)).toEqual(new Array(3).fill("started error:device_lost"));
    expect(generate(makeRequest("r4"))).toMatchObject([
      { kind: "error", error: { code: "device_lost", data: { reason: "unknown" } } },
    ]);
    expect(engine.failure).toMatchObject({ code: "device_lost", message: lost.message });
  });

  it("dispose ends live requests, drops the steps in flight, and is idempotent", async () => {
    const runner = new ScriptedRunner({ r: IDS_ABCD });
    const { engine, generate, state } = makeEngine(runner);
    state.isDead = true;
    runner.hold();
    const live = generate(makeRequest("r"));
    await settle();
    engine.dispose();
    engine.dispose();
    runner.release();
    await settle();
    expect(summarize(live)).toBe("started error:disposed");
    expect(summarize(generate(makeRequest("r2")))).toBe("error:disposed");
    expect([runner.numDisposals, runner.steps.length]).toEqual([1, 2]);
  });

  it("dispose of an idle engine and of one that failed frees the runner", () => {
    const runner = new ScriptedRunner({});
    const { engine, state } = makeEngine(runner);
    state.isDead = true;
    engine.dispose();
    expect(runner.numDisposals).toBe(1);
  });
});
