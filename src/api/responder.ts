import type { Timings, Usage } from "../protocol/messages";
import type { ChoiceSource } from "./choice-source";
import { CompletionStream } from "./completion-stream";
import type { StartedEvent } from "./generation";
import type { ChunkResponse, CompletionTimings, CompletionUsage, FullResponse, WithTokenIds } from "./openai-types";
import type { ChoiceWriter, ResponseFormat } from "./response-format";

/** The identity of an answer and what its request asked to see. */
export interface AnswerOptions {
  readonly id: string;
  readonly model: string;
  readonly includeUsage: boolean;
  readonly returnTokenIds: boolean;
}

/** Turns the events of one answer's choices into OpenAI-shaped answers, whole or in chunks. */
export class Responder<Kind extends string, Choice, ChunkKind extends string, ChunkChoice> {
  readonly #format: ResponseFormat<Kind, Choice, ChunkKind, ChunkChoice>;
  readonly #options: AnswerOptions;
  readonly #created = Math.floor(Date.now() / 1000);

  constructor(format: ResponseFormat<Kind, Choice, ChunkKind, ChunkChoice>, options: AnswerOptions) {
    this.#format = format;
    this.#options = options;
  }

  /** Waits for the whole answer. */
  async full(source: ChoiceSource): Promise<FullResponse<Kind, Choice>> {
    const started = await source.start();
    const writers = this.#writers(started);
    const tokenIds = started.map((): number[] => []);
    const choices: (Choice & WithTokenIds)[] = [];
    for (let numEnded = 0; ; ) {
      const { index, event } = await source.next();
      if (event.kind === "delta") {
        writers[index].push(event);
        for (const id of event.tokenIds) tokenIds[index].push(id);
        continue;
      }
      const { choice } = writers[index].end(event.finishReason);
      choices[index] = { ...choice, ...this.#tokenIds(tokenIds[index]) };
      if (++numEnded === writers.length) {
        return {
          ...this.#identity(this.#format.object),
          choices: choices as [Choice & WithTokenIds, ...(Choice & WithTokenIds)[]],
          usage: toUsage(event.usage, writers),
          timings: toTimings(event.timings),
          ...this.#promptTokenIds(started),
        };
      }
    }
  }

  /** Resolves when the engine accepted the request; a request that it refuses rejects here, not in the loop. */
  async stream(source: ChoiceSource): Promise<CompletionStream<ChunkResponse<ChunkKind, ChunkChoice>>> {
    const started = await source.start();
    return new CompletionStream(this.#chunks(source, started), source.controller);
  }

  async *#chunks(
    source: ChoiceSource,
    started: readonly StartedEvent[],
  ): AsyncGenerator<ChunkResponse<ChunkKind, ChunkChoice>, void, undefined> {
    try {
      const writers = this.#writers(started);
      let firstFields = this.#promptTokenIds(started);
      const chunk = (choice: ChunkChoice, tokenIds: readonly number[] = [], fields = {}) => {
        const made = this.#chunk([{ ...choice, ...this.#tokenIds(tokenIds) }], { ...firstFields, ...fields });
        firstFields = {};
        return made;
      };
      for (const { opening } of writers) if (opening) yield chunk(opening);
      for (let numEnded = 0; ; ) {
        const { index, event } = await source.next();
        if (event.kind === "delta") {
          const piece = writers[index].push(event, this.#options.returnTokenIds && event.tokenIds.length > 0);
          if (piece) yield chunk(piece, event.tokenIds);
          continue;
        }
        const { rest, last } = writers[index].end(event.finishReason);
        if (rest) yield chunk(rest);
        yield chunk(last, [], { timings: toTimings(event.timings) });
        if (++numEnded < writers.length) continue;
        if (this.#options.includeUsage) yield this.#chunk([], { usage: toUsage(event.usage, writers) });
        return;
      }
    } finally {
      source.controller.abort();
    }
  }

  #writers(started: readonly StartedEvent[]): ChoiceWriter<Choice, ChunkChoice>[] {
    return started.map(({ isThinking = false }, index) => this.#format.writer(index, isThinking));
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

  /** All choices have one prompt where this is asked for. */
  #promptTokenIds([{ promptTokenIds }]: readonly StartedEvent[]): { readonly prompt_token_ids?: readonly number[] } {
    return this.#options.returnTokenIds ? { prompt_token_ids: promptTokenIds } : {};
  }
}

function toUsage(usage: Usage, writers: readonly ChoiceWriter<unknown, unknown>[]): CompletionUsage {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: {
      cached_tokens: usage.cachedTokens,
      cached_tokens_by_tier: usage.cachedTokensByTier,
    },
    completion_tokens_details: {
      reasoning_tokens: writers.reduce((sum, writer) => sum + writer.numReasoningTokens, 0),
    },
  };
}

function toTimings(timings: Timings): CompletionTimings {
  return {
    queue_ms: timings.queueMs,
    time_to_first_token_ms: timings.timeToFirstTokenMs,
    total_ms: timings.totalMs,
  };
}
