import type {
  KvStats,
  KvStorageFault,
  KvStorageStats,
  KvTier,
  PrefetchResult,
  TokensByTier,
} from "../protocol/kv-messages";
import type { EngineInfo, PromptInput } from "../protocol/messages";
import {
  aFilledString,
  anArray,
  anObject,
  type Check,
  type Fields,
  invalid,
  oneOf,
  optional,
  refuseUnknown,
} from "./checks";
import { loadChatExtras } from "./load-extras";
import type { ChatMessageParam } from "./openai-types";
import { plainMessages, validatePrompt } from "./validate-body";
import type { WorkerConnection } from "./worker-connection";

export type { KvStats, KvStorageFault, KvStorageStats, KvTier, PrefetchResult, TokensByTier };

export interface KvClearOptions {
  /** At least one; all tiers unless given. */
  readonly tiers?: readonly KvTier[] | null;
}

/** A prompt as a request's body has it: `messages` as in chat completions, or `prompt` as in completions. */
export type KvPrefetchParams = { readonly cache_salt?: string | null } & (
  | { readonly messages: readonly ChatMessageParam[]; readonly prompt?: null }
  | { readonly prompt: string | readonly number[]; readonly messages?: null }
);

const KV_TIERS: readonly KvTier[] = ["gpu", "host", "storage"];

/** `engine.kv`. Every call rejects with a CairnError: `disposed`, `worker_failed`, or what is said beside it. */
export class KvCache {
  readonly #connection: WorkerConnection;
  readonly #info: EngineInfo;

  constructor(connection: WorkerConnection, info: EngineInfo) {
    this.#connection = connection;
    this.#info = info;
  }

  /** What the KV cache holds and did, by now. */
  stats(): Promise<KvStats> {
    return this.#connection.call((worker) => worker.kvStats());
  }

  /**
   * Forgets what is cached; of storage, all of this namespace, whatever its model, and it resolves when that is done. Requests that
   * run keep the KV that they use, and what is computed later is cached again. Of an engine that tabs share, it is cleared for all.
   * Rejects with `invalid_request` for an unknown tier, `unsupported_parameter` for an unknown option, both with data { param }.
   */
  async clear(options: KvClearOptions = {}): Promise<void> {
    const fields = anObject(options, "options");
    refuseUnknown(fields, ["tiers"], "options.");
    const tiers = optional(fields, "tiers", someTiers, "options.") ?? KV_TIERS;
    await this.#connection.call((worker) => worker.kvClear(tiers));
  }

  /**
   * Resolves when all KV that was computed and is to outlive the page does. It runs by itself when the page is hidden, for it may
   * not come back.
   */
  async flush(): Promise<void> {
    await this.#connection.call((worker) => worker.kvFlush());
  }

  /**
   * Brings KV of this prompt that is in RAM or storage back to the GPU, so that a request that begins with it starts sooner, and tells
   * what was found. It computes nothing, and preempts nobody. Rejects as a request with this prompt does.
   */
  async prefetch(body: KvPrefetchParams): Promise<PrefetchResult> {
    const fields = anObject(body, "body");
    refuseUnknown(fields, ["messages", "prompt", "cache_salt"]);
    const request = {
      requestId: `prefetch-${crypto.randomUUID().replaceAll("-", "")}`,
      input: await promptInput(fields, this.#info),
      cacheSalt: optional(fields, "cache_salt", aFilledString),
    };
    return this.#connection.call((worker) => worker.kvPrefetch(request));
  }
}

const someTiers: Check<readonly KvTier[]> = (value, param) => {
  const tiers = anArray(value, param);
  if (tiers.length === 0) throw invalid(param, "an array of at least one tier");
  return tiers.map((tier, index) => oneOf(...KV_TIERS)(tier, `${param}[${index}]`));
};

async function promptInput({ messages, prompt }: Fields, info: EngineInfo): Promise<PromptInput> {
  const hasMessages = messages !== undefined && messages !== null;
  const hasPrompt = prompt !== undefined && prompt !== null;
  if (hasMessages === hasPrompt) throw invalid("body", "an object with either messages or prompt");
  if (hasPrompt) return validatePrompt(prompt);
  const plain = plainMessages(messages);
  return plain ? { kind: "chat", messages: plain } : (await loadChatExtras()).readMessages(messages, info);
}
