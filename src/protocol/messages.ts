import type { GrammarFormat } from "../sampling/grammar";
import type { SamplingParams } from "../sampling/sampling-params";
import type { WireError } from "../util/errors";
import type { KvStats, KvStore, KvTier, PrefetchRequest, PrefetchResult, TokensByTier } from "./kv-messages";
import type { MemoryPlan } from "./memory-plan";

/** What the page may set about the device. */
export interface AdapterOptions {
  readonly powerPreference?: "low-power" | "high-performance";
  /** Ask for the browser's software adapter. */
  readonly forceFallback?: boolean;
}

/** Where a model's files come from, as plain data. `cache`: keep them in this browser; true unless given. */
export type ModelSource =
  /** `repo` is "owner/name", `endpoint` an absolute URL without a slash at its end. */
  | {
      readonly kind: "hub";
      readonly repo: string;
      readonly endpoint: string;
      readonly revision: string;
      readonly token: string | null;
      readonly cache?: boolean;
    }
  /** `url` is absolute and ends in a slash. */
  | { readonly kind: "url"; readonly url: string; readonly cache?: boolean }
  | { readonly kind: "files"; readonly files: readonly File[] }
  | { readonly kind: "directory"; readonly directory: FileSystemDirectoryHandle };

/** What weights are quantized to while they load. */
export type Quantization = "q8_0" | "q4_0";

/** `createEngine`'s options once they crossed to the worker; callbacks and signals stay behind as Comlink proxies. */
export interface EngineInit {
  readonly model: ModelSource;
  readonly maxModelLen?: number;
  readonly kvDtype?: "f16" | "f32";
  /** Absent: weights stay as they are. */
  readonly quantization?: Quantization;
  readonly kvCacheBytes?: number;
  readonly adapter?: AdapterOptions;
  /** Of the KV that is kept beyond the page; see createEngine. */
  readonly namespace?: string;
  /** Overrides of EngineConfig (engine/engine-config.ts), checked by name there. */
  readonly engine?: Readonly<Record<string, unknown>>;
}

/**
 * Progress of createEngine. In the phase `download` bytes are those of all files that are fetched, as they arrive from the
 * network; later those of the weights.
 */
export interface LoadProgress {
  readonly phase: "config" | "device" | "download" | "weights" | "compile" | "ready";
  readonly file?: string;
  readonly loaded: number;
  readonly total: number;
  /** Over the last seconds; only while bytes arrive. */
  readonly bytesPerSecond?: number;
}

/** What an engine that is ready says about itself. */
export interface EngineInfo {
  /** The hub's id, the last path segment of the URL, or the folder's name. */
  readonly modelId: string;
  readonly architecture: string;
  readonly numParameters: number;
  readonly weightBytes: number;
  readonly quantization: "none" | Quantization;
  readonly vocabSize: number;
  /** Longest prompt + completion, in tokens. */
  readonly maxModelLen: number;
  readonly kvDtype: "f16" | "f32";
  readonly kvCacheBytes: number;
  readonly numBlocks: number;
  readonly hasChatTemplate: boolean;
  readonly toolFormat: ToolFormat;
  /** The chat template takes messages with the role system. */
  readonly hasSystemRole: boolean;
  /** The chat template knows of `<think>`: answers begin with thoughts. */
  readonly hasReasoning: boolean;
  readonly adapter: { readonly vendor: string; readonly architecture: string; readonly description: string };
  readonly features: { readonly f16: boolean; readonly subgroups: boolean };
  /**
   * What the GPU computed wrongly and Cairn switched off, what the model's files ask for and Cairn does not do, and why they are
   * not kept; in sentences for a person, usually none.
   */
  readonly warnings: readonly string[];
}

/** A message as chat templates read it, hence its names. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly MessageToolCall[];
  readonly tool_call_id?: string;
}

export interface MessageToolCall {
  readonly id: string;
  readonly type: "function";
  /** `arguments`: as JSON values, not as text. */
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> };
}

/** A function that the model may call, as chat templates read it. */
export interface ToolDefinition {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description: string;
    readonly parameters: Readonly<Record<string, unknown>>;
  };
}

/** A conversation to render. */
export interface ChatInput {
  readonly kind: "chat";
  readonly messages: readonly ChatMessage[];
  /** Absent: none. */
  readonly tools?: readonly ToolDefinition[];
  /** More variables of the template; none unless given. */
  readonly templateKwargs?: Readonly<Record<string, unknown>>;
  /** End with the start of the assistant's turn; true unless given. */
  readonly addGenerationPrompt?: boolean;
}

export type PromptInput =
  | ChatInput
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly tokenIds: readonly number[] };

/**
 * How a model writes that it calls functions: in tags with JSON (Hermes, Qwen), as JSON with `parameters` (Llama 3), as a list
 * behind a token (Mistral), or, where its template knows of no tools, as JSON that the engine asks for (Gemma and others).
 */
export type ToolFormat = "hermes" | "llama3" | "mistral" | "json";

/** A generation as the API layer asks for it; what the caller left out is null, or absent, and gets the model's default. */
export interface GenerateRequest {
  readonly requestId: string;
  readonly input: PromptInput;
  /** Most tokens to generate; null = as many as the context allows. */
  readonly maxTokens: number | null;
  readonly sampling: { readonly [K in keyof SamplingParams]?: SamplingParams[K] | null };
  /** Strings that end the text; they are not part of it. */
  readonly stop: readonly string[];
  /** An integer; lower runs sooner and is preempted later. Equal ones go by arrival. */
  readonly priority: number;
  /** False: neither takes KV from the prefix cache nor leaves any there. */
  readonly usePrefixCache: boolean;
  /** KV is shared only among requests of the same salt; null is a salt of its own. */
  readonly cacheSalt: string | null;
  /** How far down its KV may be kept; all tiers unless given. */
  readonly kvStore?: KvStore;
  /** What the text keeps to; anything unless given. */
  readonly grammar?: GrammarFormat;
  /** In place of `grammar` where the prompt ends within the model's thoughts, so that the text begins there; `grammar` unless given. */
  readonly thinkingGrammar?: GrammarFormat;
  /** Show special tokens, such as those around tool calls, in the text; those that end it never. False unless given. */
  readonly keepSpecialTokens?: boolean;
}

export type FinishReason = "stop" | "length";

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens whose KV was cached, on whatever tier. */
  readonly cachedTokens: number;
  readonly cachedTokensByTier: TokensByTier;
}

/** Milliseconds, from the arrival of the request in the worker. */
export interface Timings {
  readonly queueMs: number;
  readonly timeToFirstTokenMs: number;
  readonly totalMs: number;
}

export interface TokenLogprob {
  /** The token's text; bytes that are no whole character are U+FFFD here. */
  readonly token: string;
  readonly bytes: readonly number[];
  /** Under the model's own logits: before logit bias, penalties and temperature. */
  readonly logprob: number;
}

/** A token of the text. */
export interface OutputLogprob extends TokenLogprob {
  /** Where in the text the token begins, in UTF-16 units. */
  readonly textOffset: number;
  /** The most likely tokens, most likely first; as many as were asked for, and the vocabulary has. */
  readonly top: readonly TokenLogprob[];
}

/** Text that became complete, and the ids since the last delta; either may be empty. */
export interface DeltaEvent {
  readonly kind: "delta";
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** Where they were asked for: of the tokens that begin in what is complete so far. EOS and stop strings are no text. */
  readonly logprobs?: readonly OutputLogprob[];
}

/** Worker -> page, over the request's own MessagePort. `started` comes first; `done` or `error` comes last. */
export type GenerateEvent =
  /** `isThinking`: the prompt ends within the model's thoughts, so the text begins there; absent where it does not. */
  | { readonly kind: "started"; readonly promptTokenIds: readonly number[]; readonly isThinking?: boolean }
  | DeltaEvent
  | { readonly kind: "done"; readonly finishReason: FinishReason; readonly usage: Usage; readonly timings: Timings }
  | { readonly kind: "error"; readonly error: WireError };

/** Page -> worker, over the same port. */
export type GenerateCommand = { readonly kind: "abort" };

/** What `identify` answers. */
export const ENGINE_WORKER_NAME = "cairn-engine";

/** Parts of the engine that are loaded only where they are needed; scripts/worker-source-plugin.ts makes a script of each. */
export type PartName =
  | "selfTest"
  | "download"
  | "cacheApi"
  | "quantization"
  | "profiler"
  | "storage"
  | "logitStages"
  | "grammar"
  | "arc"
  | "int8";

/** Resolves with the text of a part's script. */
export type PartSource = (name: PartName) => Promise<string>;

/** The worker's face to the page (Comlink). Errors cross as WireError and are CairnError on both sides. */
export interface EngineWorkerApi {
  /** Answers at once, so that the page can tell the engine's worker from another script. */
  identify(): Promise<typeof ENGINE_WORKER_NAME>;
  /** Tells what `init` would take, and makes nothing. `cancel` ends the planning when a message arrives on it; `partSource` as for `init`. */
  plan(init: EngineInit, cancel: MessagePort, partSource: PartSource | null): Promise<MemoryPlan>;
  /**
   * `onProgress` and `partSource` are Comlink proxies; the latter is null where nobody has the parts that the worker lacks. `cancel`
   * aborts the load when a message arrives on it.
   */
  init(
    init: EngineInit,
    onProgress: ((progress: LoadProgress) => void) | null,
    cancel: MessagePort | null,
    partSource: PartSource | null,
  ): Promise<EngineInfo>;
  /** Starts a generation; events flow over `port`. Resolves when the request was accepted; never rejects (failures are `error` events). */
  generate(request: GenerateRequest, port: MessagePort): Promise<void>;
  /** Tokens of the prompt that `generate` would make of it; rejects as that fails. */
  countTokens(input: PromptInput): Promise<number>;
  kvStats(): Promise<KvStats>;
  kvClear(tiers: readonly KvTier[]): Promise<void>;
  kvFlush(): Promise<void>;
  kvPrefetch(request: PrefetchRequest): Promise<PrefetchResult>;
  /** Ends every request with code `disposed`, frees the device. Idempotent. */
  dispose(): Promise<void>;
}
