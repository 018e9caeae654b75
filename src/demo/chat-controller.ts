import type { EngineInfo, LoadProgress } from "../index";
import { AnswerClock } from "./answer-clock";
import { asCairnError } from "./as-cairn-error";
import {
  type AnswerState,
  type ChatState,
  type EngineState,
  isStreaming,
  type ModelChoice,
  type Settings,
  type Turn,
} from "./chat-state";
import { type ChatEngine, streamAnswer } from "./generate";
import { KvMonitor } from "./kv-monitor";
import { Observable } from "./observable";

export interface LoadOptions {
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
}
export type LoadEngine = (choice: ModelChoice, options: LoadOptions) => Promise<ChatEngine>;

const DEFAULT_SETTINGS: Settings = { temperature: null, maxTokens: null, seed: null };

/** The chat without its looks: one engine at a time, one answer at a time. Views subscribe and draw `state`. Nothing here throws: failures are states. */
export class ChatController extends Observable<ChatState> {
  /** The numbers of the engine's KV cache, read anew after each answer. */
  readonly kv = new KvMonitor();
  readonly #loadEngine: LoadEngine;
  readonly #now: () => number;
  #engine: ChatEngine | null = null;
  #loading: AbortController | null = null;
  #answering: AbortController | null = null;
  #nextTurnId = 1;

  /** `now` gives milliseconds, as `performance.now` does. */
  constructor(loadEngine: LoadEngine, now: () => number) {
    super({
      choice: { kind: "embedded" },
      engine: { status: "loading", progress: null },
      turns: [],
      settings: DEFAULT_SETTINGS,
    });
    this.#loadEngine = loadEngine;
    this.#now = now;
  }

  /** Gives the engine up for another model and starts a new chat; a load under way is cancelled. */
  async open(choice: ModelChoice): Promise<void> {
    this.newChat();
    await this.#load(choice);
  }

  /** Loads the same model again, after a failure or a pause; the conversation stays. */
  async reload(): Promise<void> {
    this.stop();
    await this.#load(this.state.choice);
  }

  /** Ends a download; what arrived is kept, and `reload` goes on from there. Does nothing in other phases. */
  pause(): void {
    const { engine } = this.state;
    if (engine.status !== "loading" || engine.progress?.phase !== "download") return;
    this.#loading?.abort();
    this.#loading = null;
    this.set({ engine: { status: "paused", progress: engine.progress } });
  }

  setSettings(settings: Settings): void {
    this.set({ settings });
  }

  /** Does nothing while an answer streams or no engine is ready. */
  async send(text: string): Promise<void> {
    const prompt = text.trim();
    if (prompt === "" || isStreaming(this.state)) return;
    await this.#answer(prompt);
  }

  /** Asks a failed question again, in the place of its failure. */
  async retry(turnId: number): Promise<void> {
    const turn = this.state.turns.find((candidate) => candidate.id === turnId);
    if (turn?.state.status !== "failed" || isStreaming(this.state)) return;
    this.set({ turns: this.state.turns.filter((candidate) => candidate !== turn) });
    await this.#answer(turn.prompt);
  }

  /** Ends the answer that streams; what came of it stays in the conversation. */
  stop(): void {
    this.#answering?.abort();
  }

  newChat(): void {
    this.stop();
    this.set({ turns: [] });
  }

  async #load(choice: ModelChoice): Promise<void> {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    const update = (engine: EngineState) => {
      if (this.#loading === loading) this.set({ engine });
    };
    this.set({ choice, engine: { status: "loading", progress: null } });
    const old = this.#engine;
    this.#engine = null;
    this.kv.connect(null);
    try {
      await old?.dispose();
      loading.signal.throwIfAborted();
      const engine = await this.#loadEngine(choice, {
        signal: loading.signal,
        onProgress: (progress) => update({ status: "loading", progress }),
      });
      if (this.#loading !== loading) return await engine.dispose();
      this.#engine = engine;
      this.kv.connect(engine.kv);
      update({ status: "ready", info: engine.info });
    } catch (thrown) {
      update({ status: "failed", error: asCairnError(thrown) });
    }
  }

  async #answer(prompt: string): Promise<void> {
    const engine = this.#engine;
    if (!engine) return;
    const answering = new AbortController();
    this.#answering = answering;
    const past = this.state.turns;
    const id = this.#nextTurnId++;
    this.set({ turns: [...past, { id, prompt, answer: "", state: { status: "streaming" } }] });
    const clock = new AnswerClock(this.#now);
    try {
      const request = { past, prompt, settings: this.state.settings, signal: answering.signal };
      for await (const delta of streamAnswer(engine, request)) {
        clock.record(delta);
        if (delta.text !== "") this.#updateTurn(id, (turn) => ({ ...turn, answer: turn.answer + delta.text }));
        const { thoughts } = delta;
        if (thoughts !== "") this.#updateTurn(id, (turn) => ({ ...turn, thoughts: (turn.thoughts ?? "") + thoughts }));
      }
      this.#end(
        id,
        answering.signal.aborted ? { status: "stopped", stats: clock.stats() } : finished(clock, engine.info),
      );
    } catch (thrown) {
      const stopped = answering.signal.aborted;
      this.#end(
        id,
        stopped ? { status: "stopped", stats: clock.stats() } : { status: "failed", error: asCairnError(thrown) },
      );
    }
  }

  #end(id: number, state: AnswerState): void {
    this.#updateTurn(id, (turn) => ({ ...turn, state }));
    void this.kv.refresh();
  }

  /** A turn that a new chat took away is gone for good: its late chunks change nothing. */
  #updateTurn(id: number, update: (turn: Turn) => Turn): void {
    if (!this.state.turns.some((turn) => turn.id === id)) return;
    this.set({ turns: this.state.turns.map((turn) => (turn.id === id ? update(turn) : turn)) });
  }
}

function finished(clock: AnswerClock, info: EngineInfo): AnswerState {
  const stats = clock.stats();
  if (clock.finishReason !== "length") return { status: "done", ending: "complete", stats };
  const numContextTokens = (stats.numPromptTokens ?? 0) + stats.numTokens;
  return { status: "done", ending: numContextTokens >= info.maxModelLen ? "context-full" : "token-limit", stats };
}
