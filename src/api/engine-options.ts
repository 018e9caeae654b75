import type { EngineConfig } from "../protocol/engine-config";
import type { AdapterOptions, EngineInit, LoadProgress } from "../protocol/messages";
import {
  aBoolean,
  aFilledString,
  anInteger,
  anObject,
  aSignal,
  aString,
  type Check,
  invalid,
  oneOf,
  optional,
  refuseUnknown,
} from "./checks";
import { type HubOptions, type ModelOption, modelSource } from "./model-source";

export type { AdapterOptions, EngineConfig, HubOptions, LoadProgress };

export interface CreateEngineOptions {
  /**
   * A hub's id, "owner/name"; a folder's URL, absolute or relative to the document, ending in a slash; a folder's files; or
   * a folder that the user opened.
   */
  readonly model: ModelOption;
  /** For a hub's id only. */
  readonly hub?: HubOptions | null;
  /** Keep the files of a model from the network in this browser; true unless given. */
  readonly cache?: boolean | null;
  /** Longest prompt + completion, in tokens; the model's own limit unless given. */
  readonly maxModelLen?: number | null;
  /** Number format of the KV cache; "f16" unless given. */
  readonly kvDtype?: "f16" | "f32" | null;
  /** Quantize the weights while they load: to about 8 or 4.5 bits each, embedding and head always to 8. */
  readonly quantization?: "q8_0" | "q4_0" | null;
  /** Size of the KV cache; what fits beside the weights unless given. */
  readonly kvCacheBytes?: number | null;
  readonly adapter?: AdapterOptions | null;
  /** Your app's name: KV that is kept beyond the page is shared only within one. Apps of one origin without a name share theirs. */
  readonly namespace?: string | null;
  /** Where the package's worker.js is served, for pages whose CSP forbids workers from blobs, and for `shared`. */
  readonly workerUrl?: string | URL | null;
  /**
   * One engine for all tabs of the origin that ask for the same model with the same options, from the same build: one copy of the
   * weights, one KV cache, one batch. Needs `workerUrl`, and a model from a hub or a URL. False unless given.
   */
  readonly shared?: boolean | null;
  /** Overrides of the engine's settings, by name. */
  readonly engine?: Partial<EngineConfig> | null;
  readonly onProgress?: ((progress: LoadProgress) => void) | null;
  /** Aborts the load; `createEngine` then throws a CairnError with code `aborted`. */
  readonly signal?: AbortSignal | null;
}

/** Those of createEngine that matter before an engine is there. */
export type PlanMemoryOptions = Omit<CreateEngineOptions, "model" | "onProgress">;

/** The options apart: what the worker gets as plain data, and what stays on the page. */
export interface ValidEngineOptions {
  readonly init: EngineInit;
  readonly workerUrl: string | URL | null;
  /** There is a `workerUrl`, and the page need not lend files. */
  readonly shared: boolean;
  readonly onProgress: ((progress: LoadProgress) => void) | null;
  readonly signal: AbortSignal | null;
}

const OPTION_NAMES: readonly (keyof CreateEngineOptions)[] = [
  "model",
  "hub",
  "cache",
  "maxModelLen",
  "kvDtype",
  "quantization",
  "kvCacheBytes",
  "adapter",
  "namespace",
  "workerUrl",
  "shared",
  "engine",
  "onProgress",
  "signal",
];

/** Throws `invalid_request` or `unsupported_parameter`, both with data { param }. The engine checks its settings itself. */
export function validateEngineOptions(options: CreateEngineOptions): ValidEngineOptions {
  const fields = anObject(options, "options");
  refuseUnknown(fields, OPTION_NAMES);
  const init: EngineInit = {
    model: modelSource(fields),
    maxModelLen: optional(fields, "maxModelLen", anInteger(1)) ?? undefined,
    kvDtype: optional(fields, "kvDtype", oneOf("f16", "f32")) ?? "f16",
    quantization: optional(fields, "quantization", oneOf("q8_0", "q4_0")) ?? undefined,
    kvCacheBytes: optional(fields, "kvCacheBytes", anInteger(1)) ?? undefined,
    adapter: optional(fields, "adapter", adapterOptions) ?? undefined,
    namespace: optional(fields, "namespace", aFilledString) ?? undefined,
    engine: optional(fields, "engine", engineOverrides) ?? undefined,
  };
  const workerUrl = optional(fields, "workerUrl", urlOrString);
  const shared = optional(fields, "shared", aBoolean) ?? false;
  if (shared && !workerUrl) throw invalid("workerUrl", "given for shared: a worker from a blob is its tab's own");
  if (shared && !("cache" in init.model)) throw invalid("shared", "left out for files of this tab");
  return {
    init,
    workerUrl,
    shared,
    onProgress: optional(fields, "onProgress", progressCallback),
    signal: optional(fields, "signal", aSignal),
  };
}

/** As validateEngineOptions. */
export function validatePlanOptions(model: CreateEngineOptions["model"], options: PlanMemoryOptions) {
  const fields = anObject(options, "options");
  refuseUnknown(
    fields,
    OPTION_NAMES.filter((name) => name !== "model" && name !== "onProgress"),
  );
  return validateEngineOptions({ ...options, model });
}

const adapterOptions: Check<AdapterOptions> = (value, param) => {
  const fields = anObject(value, param);
  refuseUnknown(fields, ["powerPreference", "forceFallback"], "adapter.");
  const power = optional(fields, "powerPreference", oneOf("low-power", "high-performance"), "adapter.");
  const forceFallback = optional(fields, "forceFallback", aBoolean, "adapter.") ?? false;
  return power === null ? { forceFallback } : { forceFallback, powerPreference: power };
};

/** Only plain values can cross to the worker, which knows the names and ranges. */
const engineOverrides: Check<Readonly<Record<string, unknown>>> = (value, param) => {
  const fields = anObject(value, param);
  for (const [name, setting] of Object.entries(fields)) {
    const isPlain = setting == null || ["number", "string", "boolean"].includes(typeof setting);
    if (!isPlain) throw invalid(`${param}.${name}`, "a number, a string, true, false or null");
  }
  return { ...fields };
};

const urlOrString: Check<string | URL> = (value, param) => (value instanceof URL ? value : aString(value, param));

const progressCallback: Check<(progress: LoadProgress) => void> = (value, param) => {
  if (typeof value !== "function") throw invalid(param, "a function");
  return value as (progress: LoadProgress) => void;
};
