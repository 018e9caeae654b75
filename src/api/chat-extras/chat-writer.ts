import type { DeltaEvent, FinishReason, OutputLogprob, ToolFormat } from "../../protocol/messages";
import type { ChatChoice, ChatChunkChoice, ChatDelta, ChatLogprobs, ToolCall } from "../openai-types";
import type { ChoiceWriter } from "../response-format";
import { CALL_SYNTAX } from "./call-syntax";
import { Thoughts } from "./thoughts";
import { ToolCalls } from "./tool-calls";
import type { ValidTools } from "./validate-tools";

/** How text is read. */
export interface ReadingOptions {
  readonly toolFormat: ToolFormat;
  /** null where the text is to have no calls. */
  readonly tools: ValidTools | null;
  readonly hasReasoning: boolean;
  readonly toLogprobs: (logprobs: readonly OutputLogprob[] | null) => ChatLogprobs | null;
}

const NO_TOOLS = { push: (content: string) => ({ content, calls: [] }), end: () => ({ content: "", calls: [] }) };
const NO_THOUGHTS = {
  isThinking: false,
  push: (said: string) => ({ reasoning: "", said }),
  end: () => ({ reasoning: "", said: "" }),
};

/** Reads thoughts and calls out of a chat's text. */
export class ChatWriter implements ChoiceWriter<ChatChoice, ChatChunkChoice> {
  numReasoningTokens = 0;
  readonly opening: ChatChunkChoice;
  readonly #index: number;
  readonly #toLogprobs: ReadingOptions["toLogprobs"];
  readonly #thoughts: Pick<Thoughts, "push" | "end" | "isThinking">;
  readonly #tools: Pick<ToolCalls, "push" | "end">;
  #content = "";
  #reasoning = "";
  readonly #calls: ToolCall[] = [];
  #logprobs: OutputLogprob[] | null = null;

  constructor(index: number, isThinking: boolean, { toolFormat, tools, hasReasoning, toLogprobs }: ReadingOptions) {
    this.#index = index;
    this.#toLogprobs = toLogprobs;
    this.opening = this.#chunk({ role: "assistant" });
    this.#thoughts = hasReasoning || isThinking ? new Thoughts(isThinking) : NO_THOUGHTS;
    this.#tools = tools
      ? new ToolCalls({
          syntax: CALL_SYNTAX[toolFormat],
          names: new Set(tools.functions.map(({ name }) => name)),
          isParallel: tools.isParallel,
          newId: newCallId,
        })
      : NO_TOOLS;
  }

  push({ text, tokenIds, logprobs }: DeltaEvent, isShown = false): ChatChunkChoice | null {
    const wasThinking = this.#thoughts.isThinking;
    const { reasoning, said } = this.#thoughts.push(text);
    if (wasThinking || this.#thoughts.isThinking) this.numReasoningTokens += tokenIds.length;
    if (logprobs) {
      this.#logprobs ??= [];
      this.#logprobs.push(...logprobs);
    }
    const delta = this.#add(reasoning, this.#tools.push(said));
    const shown = logprobs?.length ? logprobs : null;
    return delta || shown || isShown ? this.#chunk(delta ?? {}, shown) : null;
  }

  end(finishReason: FinishReason): ReturnType<ChoiceWriter<ChatChoice, ChatChunkChoice>["end"]> {
    const { reasoning, said } = this.#thoughts.end();
    const { content, calls } = this.#tools.push(said);
    const held = this.#tools.end();
    const rest = this.#add(reasoning, { content: content + held.content, calls: [...calls, ...held.calls] });
    const hasCalls = this.#calls.length > 0;
    const finish_reason = hasCalls && finishReason === "stop" ? "tool_calls" : finishReason;
    const choice: ChatChoice = {
      index: this.#index,
      message: {
        role: "assistant",
        content: hasCalls && this.#content === "" ? null : this.#content,
        refusal: null,
        ...(this.#reasoning !== "" && { reasoning_content: this.#reasoning }),
        ...(hasCalls && { tool_calls: this.#calls }),
      },
      logprobs: this.#toLogprobs(this.#logprobs),
      finish_reason,
    };
    return { rest: rest && this.#chunk(rest), last: { ...this.#chunk({}), finish_reason }, choice };
  }

  /** Adds a piece to the whole; null where it is empty. */
  #add(reasoning: string, { content, calls }: ReturnType<ToolCalls["push"]>): ChatDelta | null {
    this.#reasoning += reasoning;
    this.#content += content;
    for (const { index, id, function: fn } of calls) {
      const { name, arguments: before } = this.#calls[index]?.function ?? { name: fn.name ?? "", arguments: "" };
      const call = { name, arguments: before + (fn.arguments ?? "") };
      this.#calls[index] = { id: id ?? this.#calls[index]?.id ?? "", type: "function", function: call };
    }
    if (reasoning === "" && content === "" && calls.length === 0) return null;
    return {
      ...(reasoning !== "" && { reasoning_content: reasoning }),
      ...(content !== "" && { content }),
      ...(calls.length > 0 && { tool_calls: calls }),
    };
  }

  #chunk(delta: ChatDelta, logprobs: readonly OutputLogprob[] | null = null): ChatChunkChoice {
    return { index: this.#index, delta, logprobs: this.#toLogprobs(logprobs), finish_reason: null };
  }
}

/** Nine letters or digits: Mistral's templates take no other ids, and a conversation may go on with another model. */
function newCallId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => (byte % 36).toString(36)).join("");
}
