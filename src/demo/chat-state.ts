import type { CairnError, EngineInfo, LoadProgress, TokensByTier } from "../index";
import { nameOf, type RemoteModel } from "./remote-model";

/** The model that the page runs, or tries to. */
export type ModelChoice =
  | { readonly kind: "embedded" }
  | { readonly kind: "folder"; readonly name: string; readonly files: File[] }
  | { readonly kind: "remote"; readonly remote: RemoteModel };

export type EngineState =
  | { readonly status: "loading"; readonly progress: LoadProgress | null }
  /** A download that the reader stopped; what arrived is kept. */
  | { readonly status: "paused"; readonly progress: LoadProgress }
  | { readonly status: "ready"; readonly info: EngineInfo }
  | { readonly status: "failed"; readonly error: CairnError };

/** What the settings panel holds; null leaves the choice to the model's generation_config.json. */
export interface Settings {
  readonly temperature: number | null;
  readonly maxTokens: number | null;
  readonly seed: number | null;
}

/** Measured in the page, from the call to the chunks; null is what cannot be known yet, or of a stopped answer. */
export interface AnswerStats {
  readonly timeToFirstTokenMs: number | null;
  readonly tokensPerSecond: number | null;
  readonly numTokens: number;
  readonly numPromptTokens: number | null;
  /** Of the prompt's tokens, those whose KV was cached. */
  readonly cachedTokens: TokensByTier | null;
}

export type AnswerState =
  | { readonly status: "streaming" }
  /** `context-full` when prompt and answer fill the model's context, `token-limit` when the answer met `maxTokens`. */
  | {
      readonly status: "done";
      readonly ending: "complete" | "token-limit" | "context-full";
      readonly stats: AnswerStats;
    }
  | { readonly status: "stopped"; readonly stats: AnswerStats }
  | { readonly status: "failed"; readonly error: CairnError };

/** A question and its answer. Only turns that have a usable answer are sent back to the model, so that roles alternate. */
export interface Turn {
  readonly id: number;
  readonly prompt: string;
  /** What the model thought before it answered; absent where it did not. */
  readonly thoughts?: string;
  readonly answer: string;
  readonly state: AnswerState;
}

/** A snapshot; the controller replaces it and never changes one. */
export interface ChatState {
  readonly choice: ModelChoice;
  readonly engine: EngineState;
  readonly turns: readonly Turn[];
  readonly settings: Settings;
}

/** What the reader knows the model by; null for the embedded one, which has no choice of a name. */
export function chosenName(choice: ModelChoice): string | null {
  switch (choice.kind) {
    case "embedded":
      return null;
    case "folder":
      return choice.name;
    case "remote":
      return nameOf(choice.remote.model);
    default:
      return choice satisfies never;
  }
}

export function isStreaming(state: ChatState): boolean {
  return state.turns.at(-1)?.state.status === "streaming";
}

/** Tokens of the context that the conversation holds after its last answer; null before the first. */
export function numContextTokens(turns: readonly Turn[]): number | null {
  for (const { state } of turns.toReversed()) {
    if (state.status !== "done" && state.status !== "stopped") continue;
    if (state.stats.numPromptTokens !== null) return state.stats.numPromptTokens + state.stats.numTokens;
  }
  return null;
}
