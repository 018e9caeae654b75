export { type CachedModel, deleteCachedModel, listCachedModels } from "./api/cached-models";
export { CairnEngine, type EngineInfo } from "./api/cairn-engine";
export { CompletionStream } from "./api/completion-stream";
export type { ChatCompletions, Completions, RequestOptions } from "./api/completions";
export { createEngine } from "./api/create-engine";
export type {
  AdapterOptions,
  CreateEngineOptions,
  EngineConfig,
  HubOptions,
  LoadProgress,
  PlanMemoryOptions,
} from "./api/engine-options";
export type {
  KvCache,
  KvClearOptions,
  KvPrefetchParams,
  KvStats,
  KvStorageFault,
  KvStorageStats,
  KvTier,
  PrefetchResult,
  TokensByTier,
} from "./api/kv-cache";
export type * from "./api/openai-types";
export { type MemoryPlan, planMemory } from "./api/plan-memory";
export type { Session } from "./api/session/session";
export type {
  AppendOptions,
  OnOverflow,
  PromptOptions,
  SavedSession,
  SessionInput,
  SessionOptions,
  SessionParams,
} from "./api/session/session-types";
export { CairnError, type ErrorCode, type ErrorData } from "./util/errors";
