import type { ChatInput, GenerateRequest } from "../../protocol/messages";
import { CairnError } from "../../util/errors";
import type { ChatMessageParam } from "../openai-types";
import type { SessionHost, SessionParams } from "./session-types";

type Messages = readonly ChatMessageParam[];
type ChatRequest = Omit<GenerateRequest, "requestId" | "input"> & { readonly input: ChatInput };

/** What a session asks the engine beside its prompts: about conversations, with its own parameters or a prompt's. */
export class SessionRequests {
  readonly #host: SessionHost;
  readonly #defaults: SessionParams;

  constructor(host: SessionHost, defaults: SessionParams) {
    this.#host = host;
    this.#defaults = defaults;
  }

  /** Tokens of the prompt that a chat completion would make of it. Rejects as that does. */
  async countPrompt(body: SessionParams, messages: Messages): Promise<number> {
    return this.#count(this.#request(body, messages).input);
  }

  /** Tokens of a conversation; where the template cannot write it yet, as some cannot without a user's message, of its texts. */
  async countConversation(messages: Messages): Promise<number> {
    if (messages.length === 0) return 0;
    const { input } = this.#request(this.#defaults, messages);
    try {
      return await this.#count({ ...input, addGenerationPrompt: false });
    } catch (error) {
      if (!isTemplates(error)) throw error;
    }
    const text = input.messages.map(({ content }) => content).join("\n");
    return this.#host.connection.call((worker) => worker.countTokens({ kind: "text", text }));
  }

  /** Computes a conversation's KV, unless it would not be cached, or the template cannot write it. */
  async compute(messages: Messages, signal: AbortSignal): Promise<void> {
    const { input, priority, usePrefixCache, cacheSalt, kvStore } = this.#request(this.#defaults, messages);
    if (!usePrefixCache) return;
    const request: GenerateRequest = {
      requestId: newId("append"),
      input: { ...input, addGenerationPrompt: false },
      // The least that can be asked for; nobody gets it.
      maxTokens: 1,
      sampling: { temperature: 0 },
      stop: [],
      priority,
      usePrefixCache,
      cacheSalt,
      kvStore,
    };
    const generation = this.#host.connection.generate(request, signal);
    try {
      while ((await generation.next()).kind !== "done");
    } catch (error) {
      if (!isTemplates(error)) throw error;
    }
  }

  /** Brings KV of a conversation that is kept to the GPU. Never rejects: what cannot be brought is computed. */
  async prefetch(messages: Messages): Promise<void> {
    if (messages.length === 0) return;
    try {
      const { input, cacheSalt, usePrefixCache } = this.#request(this.#defaults, messages);
      const request = { requestId: newId("prefetch"), input: { ...input, addGenerationPrompt: false }, cacheSalt };
      if (usePrefixCache) await this.#host.connection.call((worker) => worker.kvPrefetch(request));
    } catch {
      // Too long for this model, or nothing its template can write: the next prompt says so.
    }
  }

  /** As a chat completion of this body would be. Throws `invalid_request` and `unsupported_parameter`. */
  #request(body: SessionParams, messages: Messages): ChatRequest {
    const { validateChatBody, info } = this.#host;
    const { request } = validateChatBody({ ...body, messages }, info.modelId);
    return { ...request, input: request.input as ChatInput };
  }

  #count(input: ChatInput): Promise<number> {
    return this.#host.connection.call((worker) => worker.countTokens(input));
  }
}

const newId = (kind: string) => `${kind}-${crypto.randomUUID().replaceAll("-", "")}`;
const isTemplates = (error: unknown) => error instanceof CairnError && error.code === "chat_template";
