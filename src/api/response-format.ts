import type { OutputLogprob, TokenLogprob as WireLogprob } from "../protocol/messages";
import type {
  ChatChoice,
  ChatChunkChoice,
  ChatLogprobs,
  CompletionChoice,
  CompletionChunkChoice,
  CompletionFinishReason,
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
  choice(text: string, logprobs: Logprobs, finishReason: CompletionFinishReason): Choice;
  /** The choice of a stream's first chunk, which has no text yet; null where the endpoint has no such chunk. */
  openingChoice(): ChunkChoice | null;
  chunkChoice(text: string, logprobs: Logprobs, finishReason: CompletionFinishReason | null): ChunkChoice;
}

export const CHAT_FORMAT: ResponseFormat<"chat.completion", ChatChoice, "chat.completion.chunk", ChatChunkChoice> = {
  idPrefix: "chatcmpl-",
  object: "chat.completion",
  chunkObject: "chat.completion.chunk",
  choice: (content, logprobs, finish_reason) => ({
    index: 0,
    message: { role: "assistant", content, refusal: null },
    logprobs: chatLogprobs(logprobs),
    finish_reason,
  }),
  openingChoice: () => ({ index: 0, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }),
  chunkChoice: (content, logprobs, finish_reason) => ({
    index: 0,
    delta: finish_reason === null ? { content } : {},
    logprobs: chatLogprobs(logprobs),
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
  choice: completionChoice,
  openingChoice: () => null,
  chunkChoice: completionChoice,
};

function completionChoice<Reason>(text: string, logprobs: Logprobs, finish_reason: Reason) {
  return { index: 0, text, logprobs: completionLogprobs(logprobs), finish_reason } as const;
}

function chatLogprobs(logprobs: Logprobs): ChatLogprobs | null {
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
