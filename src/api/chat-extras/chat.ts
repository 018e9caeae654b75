import type { EngineInfo } from "../../protocol/messages";
import { type Fields, optional } from "../checks";
import type { ChatChoice, ChatChunkChoice } from "../openai-types";
import type { ChoiceWriter } from "../response-format";
import type { ChatRequest } from "../validate-body";
import { answerGrammars } from "./answer-grammar";
import { ChatWriter, type ReadingOptions } from "./chat-writer";
import { aJsonObject } from "./more-checks";
import { responseFormat } from "./response-format";
import { validateMessages } from "./validate-messages";
import { toolDefinitions, validateTools } from "./validate-tools";

export { validateMessages };

/** What is special in a chat: the part of its request, and how its text is read. */
export interface ReadChat {
  readonly request: ChatRequest;
  readonly writer: (index: number, isThinking: boolean) => ChoiceWriter<ChatChoice, ChatChunkChoice>;
}

/** Reads a chat's messages and the fields that only chats have. Throws as validateChatBody. */
export function readChat(body: Fields, info: EngineInfo, toLogprobs: ReadingOptions["toLogprobs"]): ReadChat {
  const { toolFormat, hasReasoning } = info;
  const messages = validateMessages(body.messages);
  const tools = validateTools(body);
  const json = optional(body, "response_format", responseFormat);
  const templateKwargs = optional(body, "chat_template_kwargs", aJsonObject);
  return {
    request: {
      input: {
        kind: "chat",
        messages,
        ...(tools && { tools: toolDefinitions(tools) }),
        ...(templateKwargs && { templateKwargs }),
      },
      ...answerGrammars(toolFormat, tools, json, hasReasoning),
      // Those around calls are special tokens of many vocabularies.
      ...(tools && toolFormat !== "json" && { keepSpecialTokens: true }),
    },
    writer: (index, isThinking) => new ChatWriter(index, isThinking, { toolFormat, tools, hasReasoning, toLogprobs }),
  };
}
