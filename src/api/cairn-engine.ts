import type { EngineInfo } from "../protocol/messages";
import { ChatCompletions, Completions } from "./completions";
import { KvCache } from "./kv-cache";
import { loadPart } from "./load-extras";
import type { ModelList } from "./openai-types";
import type { Session } from "./session/session";
import type { SavedSession, SessionHost, SessionOptions } from "./session/session-types";
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
  readonly #sessionHost: SessionHost;

  constructor(connection: WorkerConnection, info: EngineInfo, namespace = "") {
    const created = Math.floor(Date.now() / 1000);
    const model = { id: info.modelId, object: "model", created, owned_by: "local" } as const;
    this.#connection = connection;
    this.info = info;
    this.chat = { completions: new ChatCompletions(connection, info) };
    this.completions = new Completions(connection, info.modelId);
    this.#sessionHost = { connection, completions: this.chat.completions, info, namespace };
    this.kv = new KvCache(connection, info);
    this.models = { list: async () => ({ object: "list", data: [model] }) };
    const { document } = globalThis;
    const flushWhenHidden = () => {
      // An engine that has failed has nothing to keep.
      if (document.visibilityState === "hidden") this.kv.flush().catch(() => {});
    };
    document?.addEventListener("visibilitychange", flushWhenHidden, { signal: this.#ended.signal });
  }

  /**
   * A conversation that the engine keeps: begun with `system` and `messages`, the other options holding for all its prompts.
   * Rejects with `invalid_request` or `unsupported_parameter` { param }; as the others here, with `network` { file } where sessions,
   * a chunk of their own, cannot be fetched.
   */
  async session(options: SessionOptions = {}): Promise<Session> {
    return (await loadSessions()).createSession(this.#sessionHost, options);
  }

  /**
   * The session that was saved under this id, with its options; its KV, as far as it is kept, is brought to the GPU. One that was
   * saved with another model goes on with this one, and is computed afresh.
   * Rejects with `session_missing` or `invalid_session` { id }, or `storage_failed` { reason }.
   */
  async restoreSession(id: string): Promise<Session> {
    return (await loadSessions()).restoreSession(this.#sessionHost, id);
  }

  /** Sessions that were saved in this namespace. Rejects with `storage_failed` { reason }. */
  async savedSessions(): Promise<SavedSession[]> {
    return (await loadSessions()).savedSessions(this.#sessionHost);
  }

  /**
   * Deletes what was saved under this id, if anything was; KV of the conversation is `kv.clear`'s. Rejects with `storage_failed`
   * { reason }.
   */
  async deleteSession(id: string): Promise<void> {
    return (await loadSessions()).deleteSession(this.#sessionHost, id);
  }

  /**
   * Ends live requests with code `disposed`, frees the GPU, ends the worker. A second call waits for the first. Of an engine that tabs
   * share, it ends this tab's requests; the last tab's call frees the GPU.
   */
  dispose(): Promise<void> {
    this.#ended.abort();
    return this.#connection.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

function loadSessions() {
  return loadPart("session", () => import("./session/session"));
}
