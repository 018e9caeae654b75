import type { EngineInfo } from "../protocol/messages";
import { ChatCompletions, Completions } from "./completions";
import { KvCache } from "./kv-cache";
import type { ModelList } from "./openai-types";
import type { WorkerConnection } from "./worker-connection";

export type { EngineInfo };

/** A loaded model, ready to answer. Made by `createEngine`. */
export class CairnEngine {
  /** What was loaded, and onto what. */
  readonly info: EngineInfo;
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: Completions;
  /** The KV cache, over all its tiers. */
  readonly kv: KvCache;
  readonly models: { list(): Promise<ModelList> };
  /**
   * `fetch` for clients of OpenAI's API, which this engine answers in the page, whatever the base URL: chat and text completions,
   * streamed or whole, and the list of models. Errors are answers in OpenAI's shape with their status; it rejects as `fetch` does.
   */
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const { answerFetch } = await import("./fetch");
    return answerFetch(this, input, init);
  };
  readonly #connection: WorkerConnection;
  readonly #ended = new AbortController();

  constructor(connection: WorkerConnection, info: EngineInfo) {
    const created = Math.floor(Date.now() / 1000);
    const model = { id: info.modelId, object: "model", created, owned_by: "local" } as const;
    this.#connection = connection;
    this.info = info;
    this.chat = { completions: new ChatCompletions(connection, info.modelId) };
    this.completions = new Completions(connection, info.modelId);
    this.kv = new KvCache(connection);
    this.models = { list: async () => ({ object: "list", data: [model] }) };
    const { document } = globalThis;
    const flushWhenHidden = () => {
      // An engine that has failed has nothing to keep.
      if (document.visibilityState === "hidden") this.kv.flush().catch(() => {});
    };
    document?.addEventListener("visibilitychange", flushWhenHidden, { signal: this.#ended.signal });
  }

  /** Ends live requests with code `disposed`, frees the GPU, ends the worker. A second call waits for the first. */
  dispose(): Promise<void> {
    this.#ended.abort();
    return this.#connection.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
