import type { ChatInput, EngineInfo } from "../../protocol/messages";
import { type Fields, optional } from "../checks";
import type { ChatChoice, ChatChunkChoice } from "../openai-types";
import type { ChoiceWriter } from "../response-format";
import type { ChatRequest } from "../validate-body";
import { answerGrammars } from "./answer-grammar";
import { ChatWriter, type ReadingOptions } from "./chat-writer";
import { aJsonObject } from "./more-checks";
import { responseFormat } from "./response-format";
import { toolsAsText } from "./tools-as-text";
import { validateMessages } from "./validate-messages";
import { toolDefinitions, validateTools } from "./validate-tools";

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
      input: chatInput(info, {
        kind: "chat",
        messages,
        ...(tools && { tools: toolDefinitions(tools) }),
        ...(templateKwargs && { templateKwargs }),
      }),
      ...answerGrammars(toolFormat, tools, json, hasReasoning),
      // Those around calls are special tokens of many vocabularies.
      ...(tools && toolFormat !== "json" && { keepSpecialTokens: true }),
    },
    writer: (index, isThinking) => new ChatWriter(index, isThinking, { toolFormat, tools, hasReasoning, toLogprobs }),
  };
}

/** A conversation of messages alone. Throws as readChat. */
export function readMessages(messages: unknown, info: EngineInfo): ChatInput {
  return chatInput(info, { kind: "chat", messages: validateMessages(messages) });
}

/** As the model's chat template takes it. */
function chatInput({ toolFormat, hasSystemRole }: EngineInfo, input: ChatInput): ChatInput {
  return toolFormat === "json" ? toolsAsText(input, hasSystemRole) : input;
}
