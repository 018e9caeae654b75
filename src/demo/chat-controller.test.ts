import { expect, test, vi } from "vitest";
import { CairnError, type ChatMessageParam, type EngineInfo, type LoadProgress } from "../index";
import { SAMPLE_KV_STATS } from "../testing/sample-kv-stats";
import { ChatController, type LoadEngine } from "./chat-controller";
import { type ModelChoice, numContextTokens } from "./chat-state";
import type { ChatEngine } from "./generate";

const INFO: EngineInfo = {
  modelId: "tiny",
  architecture: "llama",
  numParameters: 10,
  weightBytes: 20,
  quantization: "none",
  vocabSize: 8,
  maxModelLen: 32,
  kvDtype: "f16",
  kvCacheBytes: 1024,
  numBlocks: 2,
  hasChatTemplate: true,
  toolFormat: "json",
  hasSystemRole: true,
  hasReasoning: false,
  adapter: { vendor: "", architecture: "", description: "" },
  features: { f16: false, subgroups: false },
  warnings: [],
};
const REMOTE: ModelChoice = {
  kind: "remote",
  remote: {
    model: "owner/name",
    revision: null,
    hub: { endpoint: "https://hub.example", token: null },
    quantization: "q8_0",
  },
};
const FOLDER: ModelChoice = { kind: "folder", name: "other", files: [] };

interface Piece {
  readonly text?: string;
  readonly thoughts?: string;
  readonly tokenIds?: readonly number[];
  readonly promptTokenIds?: readonly number[];
  readonly finish?: "stop" | "length";
  readonly cached?: number;
}
type Script = (signal: AbortSignal) => AsyncGenerator<Piece>;

class ScriptedEngine implements ChatEngine {
  readonly bodies: { messages?: readonly ChatMessageParam[]; prompt?: unknown }[] = [];
  readonly info: EngineInfo;
  readonly kv = { stats: vi.fn(async () => SAMPLE_KV_STATS), clear: vi.fn(async () => {}) };
  numDisposed = 0;
  script: Script;

  constructor(script: Script, info: Partial<EngineInfo> = {}) {
    this.script = script;
    this.info = { ...INFO, ...info };
  }

  readonly chat: ChatEngine["chat"] = {
    completions: {
      create: async (body, { signal }) =>
        this.#chunks(body, signal, "chat.completion.chunk", (content, thoughts) => ({
          delta: thoughts === undefined ? { content } : { reasoning_content: thoughts },
        })),
    },
  };
  readonly completions: ChatEngine["completions"] = {
    create: async (body, { signal }) => this.#chunks(body, signal, "text_completion", (text) => ({ text })),
  };

  async dispose() {
    this.numDisposed++;
  }

  async *#chunks<Kind, Choice>(
    body: object,
    signal: AbortSignal,
    object: Kind,
    choice: (text: string, thoughts?: string) => Choice,
  ) {
    this.bodies.push(body);
    for await (const { text, thoughts, tokenIds, promptTokenIds, finish, cached } of this.script(signal)) {
      const rest = { index: 0 as const, logprobs: null, token_ids: tokenIds, finish_reason: finish ?? null };
      yield {
        id: "x",
        object,
        created: 0,
        model: "tiny",
        choices: cached === undefined ? [{ ...choice(text ?? "", thoughts), ...rest }] : [],
        prompt_token_ids: promptTokenIds,
        usage: cached === undefined ? null : usageWith(cached),
      };
    }
  }
}

/** As many tokens were cached, one of them in RAM. */
function usageWith(cached: number) {
  const details = { cached_tokens: cached, cached_tokens_by_tier: { gpu: cached - 1, host: 1, storage: 0 } };
  return {
    prompt_tokens: 5,
    completion_tokens: 3,
    total_tokens: 8,
    prompt_tokens_details: details,
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

const seven: Script = async function* () {
  yield { promptTokenIds: [1, 2, 3, 4, 5] };
  yield { text: "Se", tokenIds: [1] };
  yield { text: "ven.", tokenIds: [2, 3] };
  yield { finish: "stop" };
  yield { cached: 4 };
};

const endless: Script = async function* (signal) {
  yield { text: "Once ", tokenIds: [1, 2], promptTokenIds: [1, 2, 3] };
  await new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(new CairnError("aborted", "stopped"))),
  );
};

/** A clock that moves 10 ms a reading. */
function tickingClock(): () => number {
  let time = 0;
  return () => (time += 10);
}

async function readyChat(engine: ChatEngine) {
  const chat = new ChatController(async () => engine, tickingClock());
  await chat.open({ kind: "embedded" });
  return chat;
}

function untilAnswer(chat: ChatController, answer: string) {
  return new Promise<void>((resolve) => {
    const unsubscribe = chat.subscribe((state) => {
      if (state.turns.at(-1)?.answer !== answer) return;
      unsubscribe();
      resolve();
    });
  });
}

test("what a model thinks is kept beside its answer, and not sent back", async () => {
  const engine = new ScriptedEngine(async function* () {
    yield { thoughts: "Three ", promptTokenIds: [1] };
    yield { thoughts: "and four." };
    yield { text: "Seven." };
    yield { finish: "stop" };
    yield { cached: 4 };
  });
  const chat = await readyChat(engine);
  await chat.send("3 + 4?");
  expect(chat.state.turns[0]).toMatchObject({ thoughts: "Three and four.", answer: "Seven." });
  await chat.send("And 5?");
  expect(engine.bodies[1].messages?.map(({ content }) => content)).toEqual(["3 + 4?", "Seven.", "And 5?"]);
});

test("an answer streams, then tells its numbers", async () => {
  const chat = await readyChat(new ScriptedEngine(seven));
  const answers: string[] = [];
  chat.subscribe(({ turns }) => answers.push(turns[0].answer));
  await chat.send("  What is three plus four? ");
  expect(answers).toEqual(["", "Se", "Seven.", "Seven."]);
  expect(chat.state.turns).toEqual([
    {
      id: 1,
      prompt: "What is three plus four?",
      answer: "Seven.",
      state: {
        status: "done",
        ending: "complete",
        // Read at 10 (start), 20 (first) and 30 (last): two tokens after the first in 10 ms.
        stats: {
          timeToFirstTokenMs: 10,
          tokensPerSecond: 200,
          numTokens: 3,
          numPromptTokens: 5,
          cachedTokens: { gpu: 3, host: 1, storage: 0 },
        },
      },
    },
  ]);
  expect(numContextTokens(chat.state.turns)).toBe(8);
});

test("roles alternate: a stopped answer is sent back, a failed question is not", async () => {
  const engine = new ScriptedEngine(endless);
  const chat = await readyChat(engine);
  const started = untilAnswer(chat, "Once ");
  const stopped = chat.send("A story");
  await started;
  chat.stop();
  await stopped;
  expect(chat.state.turns[0].state).toEqual({
    status: "stopped",
    stats: { timeToFirstTokenMs: 10, tokensPerSecond: null, numTokens: 2, numPromptTokens: 3, cachedTokens: null },
  });

  // biome-ignore lint/correctness/useYield: it fails before its first chunk
  engine.script = async function* () {
    throw new CairnError("numerical", "NaN at 3", { position: 3 });
  };
  await chat.send("Fails");
  expect(chat.state.turns[1].state).toEqual({
    status: "failed",
    error: new CairnError("numerical", "NaN at 3", { position: 3 }),
  });

  engine.script = seven;
  await chat.send("And then?");
  expect(engine.bodies[2].messages).toEqual([
    { role: "user", content: "A story" },
    { role: "assistant", content: "Once " },
    { role: "user", content: "And then?" },
  ]);
});

test("retry asks again in place of the failure", async () => {
  const engine = new ScriptedEngine(async function* () {
    yield { text: "half " };
    throw new Error("broken pipe");
  });
  const chat = await readyChat(engine);
  await chat.send("Hello");
  expect(chat.state.turns[0].state).toMatchObject({
    status: "failed",
    error: { code: "internal", message: "broken pipe" },
  });
  engine.script = seven;
  await chat.retry(1);
  expect(chat.state.turns.map(({ prompt, answer }) => [prompt, answer])).toEqual([["Hello", "Seven."]]);
});

test("an answer that fills the context says so, one that meets its own limit says that", async () => {
  const cut = (numTokens: number): Script =>
    async function* () {
      yield { text: "a", tokenIds: Array(numTokens).fill(7), promptTokenIds: Array(20).fill(3) };
      yield { finish: "length" };
    };
  const engine = new ScriptedEngine(cut(12));
  const chat = await readyChat(engine);
  await chat.send("one");
  engine.script = cut(4);
  await chat.send("two");
  expect(chat.state.turns.map(({ state }) => state.status === "done" && state.ending)).toEqual([
    "context-full",
    "token-limit",
  ]);
});

test("only settings that were made are sent", async () => {
  const engine = new ScriptedEngine(seven);
  const chat = await readyChat(engine);
  await chat.send("a");
  chat.setSettings({ temperature: 0, maxTokens: 16, seed: 7 });
  await chat.send("b");
  const rest = { stream: true, stream_options: { include_usage: true }, return_token_ids: true };
  expect(engine.bodies[0]).toEqual({ messages: [{ role: "user", content: "a" }], ...rest });
  expect(engine.bodies[1]).toMatchObject({ temperature: 0, max_tokens: 16, seed: 7, ...rest });
});

test("a model without a chat template goes on with the prompt alone", async () => {
  const engine = new ScriptedEngine(seven, { hasChatTemplate: false });
  const chat = await readyChat(engine);
  await chat.send("Once");
  await chat.send("Twice");
  expect(engine.bodies.map(({ prompt }) => prompt)).toEqual(["Once", "Twice"]);
});

test("a new chat drops the answer under way and its late chunks", async () => {
  const chat = await readyChat(new ScriptedEngine(endless));
  const started = untilAnswer(chat, "Once ");
  const sent = chat.send("A story");
  await started;
  chat.newChat();
  await sent;
  expect(chat.state.turns).toEqual([]);
});

test("another model: the old engine is given up first, and a failure leaves the way back", async () => {
  const first = new ScriptedEngine(seven);
  const again = new ScriptedEngine(seven);
  const engines: ChatEngine[] = [first, again];
  const load: LoadEngine = async (choice) => {
    if (choice.kind === "embedded") return engines.shift()!;
    expect(first.numDisposed).toBe(1);
    throw new CairnError("model_file_missing", "config.json is missing", { file: "config.json" });
  };
  const chat = new ChatController(load, tickingClock());
  await chat.open({ kind: "embedded" });
  await chat.send("Hello");
  await chat.open(FOLDER);
  expect(chat.state).toMatchObject({
    choice: FOLDER,
    turns: [],
    engine: { status: "failed", error: { code: "model_file_missing" } },
  });
  await chat.send("Nobody is here");
  expect(chat.state.turns).toEqual([]);
  await chat.open({ kind: "embedded" });
  expect(chat.state.engine).toEqual({ status: "ready", info: INFO });
});

test("a reload keeps the conversation", async () => {
  const chat = await readyChat(new ScriptedEngine(seven));
  await chat.send("Hello");
  await chat.reload();
  expect(chat.state.turns.map(({ answer }) => answer)).toEqual(["Seven."]);
});

test("a load that another replaced is cancelled, and its late engine is disposed", async () => {
  const late = new ScriptedEngine(seven);
  const other = new ScriptedEngine(seven, { modelId: "other" });
  const signals: AbortSignal[] = [];
  let arrive: (engine: ChatEngine) => void = () => {};
  const chat = new ChatController(async (choice, { signal, onProgress }) => {
    signals.push(signal);
    onProgress({ phase: "weights", loaded: signals.length, total: 2 });
    return choice.kind === "embedded" ? new Promise<ChatEngine>((resolve) => (arrive = resolve)) : other;
  }, tickingClock());
  const loading = new Promise<void>((resolve) => {
    chat.subscribe(({ engine }) => engine.status === "loading" && engine.progress && resolve());
  });
  const firstLoad = chat.open({ kind: "embedded" });
  await loading;
  await chat.open(FOLDER);
  arrive(late);
  await firstLoad;
  expect(signals[0].aborted).toBe(true);
  expect([late.numDisposed, other.numDisposed]).toEqual([1, 0]);
  expect(chat.state.engine).toEqual({ status: "ready", info: other.info });
});

test("a download pauses with what has arrived, and resumes as the same choice", async () => {
  const engine = new ScriptedEngine(seven);
  const loads: { choice: ModelChoice; signal: AbortSignal }[] = [];
  const half: LoadProgress = { phase: "download", file: "model.safetensors", loaded: 50, total: 100 };
  const chat = new ChatController(async (choice, { signal, onProgress }) => {
    loads.push({ choice, signal });
    if (loads.length === 2) return engine;
    onProgress({ phase: "config", loaded: 0, total: 0 });
    chat.pause();
    onProgress(half);
    return new Promise<ChatEngine>((_, reject) =>
      signal.addEventListener("abort", () => {
        onProgress({ ...half, loaded: 51 });
        reject(new CairnError("aborted", "stopped"));
      }),
    );
  }, tickingClock());
  const firstLoad = chat.open(REMOTE);
  await vi.waitFor(() => expect(chat.state.engine).toEqual({ status: "loading", progress: half }));
  chat.pause();
  await firstLoad;
  expect(loads[0].signal.aborted).toBe(true);
  expect(chat.state.engine).toEqual({ status: "paused", progress: half });
  await chat.reload();
  expect(loads.map(({ choice }) => choice)).toEqual([REMOTE, REMOTE]);
  expect(chat.state.engine).toEqual({ status: "ready", info: INFO });
});

test("the KV cache's numbers are those of the engine at hand, and are read after each answer, however it ends", async () => {
  const engine = new ScriptedEngine(seven);
  const chat = await readyChat(engine);
  expect(chat.kv.reading).toEqual({ status: "empty" });
  await chat.send("Hello");
  await vi.waitFor(() => expect(chat.kv.reading).toEqual({ status: "read", stats: SAMPLE_KV_STATS }));
  expect(engine.kv.stats).toHaveBeenCalledTimes(1);
  // biome-ignore lint/correctness/useYield: it fails before its first chunk
  engine.script = async function* () {
    throw new CairnError("numerical", "NaN at 3", { position: 3 });
  };
  await chat.send("Fails");
  expect(engine.kv.stats).toHaveBeenCalledTimes(2);
  await chat.reload();
  expect(chat.kv.reading).toEqual({ status: "empty" });
});
