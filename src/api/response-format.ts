import type { DeltaEvent, FinishReason, OutputLogprob, TokenLogprob as WireLogprob } from "../protocol/messages";
import type {
  ChatChoice,
  ChatChunkChoice,
  ChatLogprobs,
  CompletionChoice,
  CompletionChunkChoice,
  CompletionLogprobs,
  TokenLogprob,
} from "./openai-types";

/** null where the request did not ask. */
type Logprobs = readonly OutputLogprob[] | null;

/** How one endpoint's answers look; what all answers share is put together in responder.ts. */
export interface ResponseFormat<Kind extends string, Choice, ChunkKind extends string, ChunkChoice> {
  readonly idPrefix: string;
  readonly object: Kind;
  readonly chunkObject: ChunkKind;
  /** `isThinking`: the text begins within the model's thoughts. */
  writer(index: number, isThinking: boolean): ChoiceWriter<Choice, ChunkChoice>;
}

/** Makes one choice, or the choices of its chunks, of a generation's events. */
export interface ChoiceWriter<Choice, ChunkChoice> {
  /** Ids of what became thoughts, so far. */
  readonly numReasoningTokens: number;
  /** The choice of a stream's first chunk, which has no text yet; null where the endpoint has no such chunk. */
  readonly opening: ChunkChoice | null;
  /** What a chunk tells of the event; null where that is nothing, unless it `isShown` in any case. */
  push(event: DeltaEvent, isShown?: boolean): ChunkChoice | null;
  /** `rest`: what was held back until now, null where nothing was; `last`: the end of a stream; `choice`: the whole. */
  end(finishReason: FinishReason): {
    readonly rest: ChunkChoice | null;
    readonly last: ChunkChoice;
    readonly choice: Choice;
  };
}

/** How text becomes choices. */
interface TextShape<Choice, ChunkChoice> {
  opening(index: number): ChunkChoice | null;
  choice(index: number, text: string, logprobs: Logprobs, finishReason: FinishReason): Choice;
  chunkChoice(index: number, text: string, logprobs: Logprobs, finishReason: FinishReason | null): ChunkChoice;
}

/** Takes the text as it is. */
class TextWriter<Choice, ChunkChoice> implements ChoiceWriter<Choice, ChunkChoice> {
  readonly numReasoningTokens = 0;
  readonly #index: number;
  readonly #shape: TextShape<Choice, ChunkChoice>;
  #text = "";
  #logprobs: OutputLogprob[] | null = null;

  constructor(index: number, shape: TextShape<Choice, ChunkChoice>) {
    this.#index = index;
    this.#shape = shape;
  }

  get opening(): ChunkChoice | null {
    return this.#shape.opening(this.#index);
  }

  push({ text, logprobs }: DeltaEvent, isShown = false): ChunkChoice | null {
    this.#text += text;
    if (logprobs) {
      this.#logprobs ??= [];
      this.#logprobs.push(...logprobs);
    }
    const shown = logprobs?.length ? logprobs : null;
    return text !== "" || shown || isShown ? this.#shape.chunkChoice(this.#index, text, shown, null) : null;
  }

  end(finishReason: FinishReason) {
    return {
      rest: null,
      last: this.#shape.chunkChoice(this.#index, "", null, finishReason),
      choice: this.#shape.choice(this.#index, this.#text, this.#logprobs, finishReason),
    };
  }
}

const CHAT_SHAPE: TextShape<ChatChoice, ChatChunkChoice> = {
  opening: (index) => ({ index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }),
  choice: (index, content, logprobs, finish_reason) => ({
    index,
    message: { role: "assistant", content, refusal: null },
    logprobs: chatLogprobs(logprobs),
    finish_reason,
  }),
  chunkChoice: (index, content, logprobs, finish_reason) => ({
    index,
    delta: finish_reason === null ? { content } : {},
    logprobs: chatLogprobs(logprobs),
    finish_reason,
  }),
};

const COMPLETION_SHAPE: TextShape<CompletionChoice, CompletionChunkChoice> = {
  opening: () => null,
  choice: completionChoice,
  chunkChoice: completionChoice,
};

export const CHAT_FORMAT: ResponseFormat<"chat.completion", ChatChoice, "chat.completion.chunk", ChatChunkChoice> = {
  idPrefix: "chatcmpl-",
  object: "chat.completion",
  chunkObject: "chat.completion.chunk",
  writer: (index) => new TextWriter(index, CHAT_SHAPE),
};

export const COMPLETION_FORMAT: ResponseFormat<
  "text_completion",
  CompletionChoice,
  "text_completion",
  CompletionChunkChoice
> = {
  idPrefix: "cmpl-",
  object: "text_completion",
  chunkObject: "text_completion",
  writer: (index) => new TextWriter(index, COMPLETION_SHAPE),
};

function completionChoice<Reason>(index: number, text: string, logprobs: Logprobs, finish_reason: Reason) {
  return { index, text, logprobs: completionLogprobs(logprobs), finish_reason } as const;
}

export function chatLogprobs(logprobs: Logprobs): ChatLogprobs | null {
  if (!logprobs) return null;
  const content = logprobs.map((entry) => ({ ...tokenLogprob(entry), top_logprobs: entry.top.map(tokenLogprob) }));
  return { content, refusal: null };
}

function tokenLogprob({ token, bytes, logprob }: WireLogprob): TokenLogprob {
  return { token, logprob: finite(logprob), bytes };
}

function completionLogprobs(logprobs: Logprobs): CompletionLogprobs | null {
  if (!logprobs) return null;
  return {
    tokens: logprobs.map(({ token }) => token),
    token_logprobs: logprobs.map(({ logprob }) => finite(logprob)),
    top_logprobs: logprobs.map((entry) => byText([...entry.top, entry])),
    text_offset: logprobs.map(({ textOffset }) => textOffset),
  };
}

/** Of entries with one text the first stays. */
function byText(entries: readonly WireLogprob[]): Record<string, number> {
  const logprobs = new Map<string, number>();
  for (const { token, logprob } of entries) if (!logprobs.has(token)) logprobs.set(token, finite(logprob));
  return Object.fromEntries(logprobs);
}

/** JSON has no infinity; OpenAI writes this for what is next to impossible. */
function finite(logprob: number): number {
  return Math.max(logprob, -9999);
}
