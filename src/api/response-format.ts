import type {
  ChatChoice,
  ChatChunkChoice,
  CompletionChoice,
  CompletionChunkChoice,
  CompletionFinishReason,
} from "./openai-types";

/** How one endpoint's answers look; what all answers share is put together in responder.ts. */
export interface ResponseFormat<Kind extends string, Choice, ChunkKind extends string, ChunkChoice> {
  readonly idPrefix: string;
  readonly object: Kind;
  readonly chunkObject: ChunkKind;
  choice(text: string, finishReason: CompletionFinishReason): Choice;
  /** The choice of a stream's first chunk, which has no text yet; null where the endpoint has no such chunk. */
  openingChoice(): ChunkChoice | null;
  chunkChoice(text: string, finishReason: CompletionFinishReason | null): ChunkChoice;
}

export const CHAT_FORMAT: ResponseFormat<"chat.completion", ChatChoice, "chat.completion.chunk", ChatChunkChoice> = {
  idPrefix: "chatcmpl-",
  object: "chat.completion",
  chunkObject: "chat.completion.chunk",
  choice: (content, finish_reason) => ({
    index: 0,
    message: { role: "assistant", content, refusal: null },
    logprobs: null,
    finish_reason,
  }),
  openingChoice: () => ({ index: 0, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }),
  chunkChoice: (content, finish_reason) => ({
    index: 0,
    delta: finish_reason === null ? { content } : {},
    logprobs: null,
    finish_reason,
  }),
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
  choice: (text, finish_reason) => ({ index: 0, text, logprobs: null, finish_reason }),
  openingChoice: () => null,
  chunkChoice: (text, finish_reason) => ({ index: 0, text, logprobs: null, finish_reason }),
};
