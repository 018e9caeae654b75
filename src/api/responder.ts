import type { DeltaEvent, OutputLogprob, Timings, Usage } from "../protocol/messages";
import { assert } from "../util/errors";
import { CompletionStream } from "./completion-stream";
import type { Generation } from "./generation";
import type { ChunkResponse, CompletionTimings, CompletionUsage, FullResponse, WithTokenIds } from "./openai-types";
import type { ResponseFormat } from "./response-format";

/** The identity of an answer and what its request asked to see. */
export interface AnswerOptions {
  readonly id: string;
  readonly model: string;
  readonly includeUsage: boolean;
  readonly returnTokenIds: boolean;
}

/** Turns the events of one generation into OpenAI-shaped answers, whole or in chunks. */
export class Responder<Kind extends string, Choice, ChunkKind extends string, ChunkChoice> {
  readonly #format: ResponseFormat<Kind, Choice, ChunkKind, ChunkChoice>;
  readonly #options: AnswerOptions;
  readonly #created = Math.floor(Date.now() / 1000);

  constructor(format: ResponseFormat<Kind, Choice, ChunkKind, ChunkChoice>, options: AnswerOptions) {
    this.#format = format;
    this.#options = options;
  }

  /** Waits for the whole answer. */
  async full(generation: Generation): Promise<FullResponse<Kind, Choice>> {
    const promptTokenIds = await started(generation);
    let text = "";
    const tokenIds: number[] = [];
    let logprobs: OutputLogprob[] | null = null;
    for (;;) {
      const event = await generation.next();
      if (event.kind === "delta") {
        text += event.text;
        for (const id of event.tokenIds) tokenIds.push(id);
        if (event.logprobs) logprobs ??= [];
        for (const entry of event.logprobs ?? []) logprobs?.push(entry);
      } else if (event.kind === "done") {
        return {
          ...this.#identity(this.#format.object),
          choices: [{ ...this.#format.choice(text, logprobs, event.finishReason), ...this.#tokenIds(tokenIds) }],
          usage: toUsage(event.usage),
          timings: toTimings(event.timings),
          ...this.#promptTokenIds(promptTokenIds),
        };
      }
    }
  }

  /** Resolves when the engine accepted the request; a request that it refuses rejects here, not in the loop. */
  async stream(generation: Generation): Promise<CompletionStream<ChunkResponse<ChunkKind, ChunkChoice>>> {
    const promptTokenIds = await started(generation);
    return new CompletionStream(this.#chunks(generation, promptTokenIds), generation.controller);
  }

  async *#chunks(
    generation: Generation,
    promptTokenIds: readonly number[],
  ): AsyncGenerator<ChunkResponse<ChunkKind, ChunkChoice>, void, undefined> {
    try {
      let firstFields = this.#promptTokenIds(promptTokenIds);
      const opening = this.#format.openingChoice();
      if (opening) {
        yield this.#chunk([{ ...opening, ...this.#tokenIds([]) }], firstFields);
        firstFields = {};
      }
      for (;;) {
        const event = await generation.next();
        if (event.kind === "done") {
          const last = { ...this.#format.chunkChoice("", null, event.finishReason), ...this.#tokenIds([]) };
          yield this.#chunk([last], {
            ...firstFields,
            timings: toTimings(event.timings),
          });
          if (this.#options.includeUsage) yield this.#chunk([], { usage: toUsage(event.usage) });
          return;
        }
        if (event.kind !== "delta" || !this.#isWorthSending(event)) continue;
        const logprobs = event.logprobs?.length ? event.logprobs : null;
        const choice = { ...this.#format.chunkChoice(event.text, logprobs, null), ...this.#tokenIds(event.tokenIds) };
        yield this.#chunk([choice], firstFields);
        firstFields = {};
      }
    } finally {
      generation.controller.abort();
    }
  }

  #isWorthSending({ text, logprobs, tokenIds }: DeltaEvent): boolean {
    return text !== "" || !!logprobs?.length || (this.#options.returnTokenIds && tokenIds.length > 0);
  }

  #chunk(
    choices: readonly (ChunkChoice & WithTokenIds)[],
    fields: Partial<ChunkResponse<ChunkKind, ChunkChoice>>,
  ): ChunkResponse<ChunkKind, ChunkChoice> {
    const usage = this.#options.includeUsage ? { usage: null } : {};
    return { ...this.#identity(this.#format.chunkObject), choices, ...usage, ...fields };
  }

  #identity<K extends string>(object: K) {
    return { id: this.#options.id, object, created: this.#created, model: this.#options.model };
  }

  #tokenIds(ids: readonly number[]): WithTokenIds {
    return this.#options.returnTokenIds ? { token_ids: ids } : {};
  }

  #promptTokenIds(ids: readonly number[]): { readonly prompt_token_ids?: readonly number[] } {
    return this.#options.returnTokenIds ? { prompt_token_ids: ids } : {};
  }
}

async function started(generation: Generation): Promise<readonly number[]> {
  const event = await generation.next();
  assert(event.kind === "started", () => `a generation began with the event ${event.kind}`);
  return event.promptTokenIds;
}

function toUsage(usage: Usage): CompletionUsage {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: {
      cached_tokens: usage.cachedTokens,
      cached_tokens_by_tier: usage.cachedTokensByTier,
    },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

function toTimings(timings: Timings): CompletionTimings {
  return {
    queue_ms: timings.queueMs,
    time_to_first_token_ms: timings.timeToFirstTokenMs,
    total_ms: timings.totalMs,
  };
}
