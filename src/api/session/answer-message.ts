import type { AssistantMessageParam, ChatDelta } from "../openai-types";

interface Call {
  id: string;
  name: string;
  arguments: string;
}

/** Puts a streamed answer together to the message that it is in the conversation. */
export class AnswerMessage {
  #content = "";
  #reasoning = "";
  readonly #calls: Call[] = [];

  push({ content, reasoning_content, tool_calls }: ChatDelta): void {
    this.#content += content ?? "";
    this.#reasoning += reasoning_content ?? "";
    for (const { index, id, function: piece } of tool_calls ?? []) {
      this.#calls[index] ??= { id: "", name: "", arguments: "" };
      const call = this.#calls[index];
      call.id += id ?? "";
      call.name += piece.name ?? "";
      call.arguments += piece.arguments ?? "";
    }
  }

  get message(): AssistantMessageParam {
    const calls = this.#calls.map(({ id, ...called }) => ({ id, type: "function", function: called }) as const);
    return {
      role: "assistant",
      content: calls.length > 0 && this.#content === "" ? null : this.#content,
      ...(this.#reasoning === "" ? {} : { reasoning_content: this.#reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    };
  }
}
