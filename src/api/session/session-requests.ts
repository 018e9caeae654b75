import type { ChatInput, GenerateRequest } from "../../protocol/messages";
import { CairnError } from "../../util/errors";
import { readChatBody } from "../completions";
import type { ChatMessageParam } from "../openai-types";
import type { SessionHost, SessionParams } from "./session-types";
import { alternating } from "./turns";

type Messages = readonly ChatMessageParam[];
type ChatRequest = Omit<GenerateRequest, "input"> & { readonly input: ChatInput };

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
    return this.#count((await this.#request(body, messages)).input);
  }

  /** Tokens of a conversation; where the template cannot write it yet, as some cannot without a user's message, of its texts. */
  async countConversation(messages: Messages): Promise<number> {
    if (messages.length === 0) return 0;
    const { input } = await this.#conversation(messages);
    try {
      return await this.#count(input);
    } catch (error) {
      if (!isTemplates(error)) throw error;
    }
    const text = input.messages.map(({ content }) => content).join("\n");
    return this.#count({ kind: "text", text });
  }

  /** Computes a conversation's KV, unless it would not be cached, or the template cannot write it. */
  async compute(messages: Messages, signal: AbortSignal): Promise<void> {
    const conversation = await this.#conversation(messages);
    if (!conversation.usePrefixCache) return;
    // The least that can be asked for; nobody gets it.
    const oneToken = {
      maxTokens: 1,
      sampling: { temperature: 0 },
      stop: [],
      grammar: undefined,
      thinkingGrammar: undefined,
    };
    const generation = this.#host.connection.generate({ ...conversation, ...oneToken }, signal);
    try {
      await generation.started();
      while ((await generation.next()).kind !== "done");
    } catch (error) {
      if (!isTemplates(error)) throw error;
    }
  }

  /** Brings KV of a conversation that is kept to the GPU. Never rejects: what cannot be brought is computed. */
  async prefetch(messages: Messages): Promise<void> {
    if (messages.length === 0) return;
    try {
      const { requestId, input, cacheSalt, usePrefixCache } = await this.#conversation(messages);
      if (!usePrefixCache) return;
      await this.#host.connection.call((worker) => worker.kvPrefetch({ requestId, input, cacheSalt }));
    } catch {
      // Too long for this model, or nothing its template can write: the next prompt says so.
    }
  }

  /** A request with the session's own parameters, whose prompt ends with the conversation. */
  async #conversation(messages: Messages): Promise<ChatRequest> {
    const request = await this.#request(this.#defaults, messages);
    return { ...request, input: { ...request.input, addGenerationPrompt: false } };
  }

  /** As a chat completion of this body would be. Rejects with `invalid_request` and `unsupported_parameter`. */
  async #request(body: SessionParams, messages: Messages): Promise<ChatRequest> {
    const { valid } = await readChatBody({ ...body, messages: alternating(messages) }, this.#host.info);
    const requestId = `session-${crypto.randomUUID()}`;
    return { ...valid.request, requestId, input: valid.inputs[0] as ChatInput };
  }

  #count(input: GenerateRequest["input"]): Promise<number> {
    return this.#host.connection.call((worker) => worker.countTokens(input));
  }
}

const isTemplates = (error: unknown) => error instanceof CairnError && error.code === "chat_template";
