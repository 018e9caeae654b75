import { describe, expect, it } from "vitest";
import type { ChatMessage, MessageToolCall, ToolDefinition } from "../../protocol/messages";
import { ChatTemplate } from "../../tokenizer/chat-template";
import { hasSharedModels, readSharedText, readTokenizerFiles } from "../../tokenizer/test-tokenizers";
import { toolsAsText } from "./tools-as-text";

const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string, ...calls: MessageToolCall[]): ChatMessage => ({
  role: "assistant",
  content,
  ...(calls.length > 0 && { tool_calls: calls }),
});
const call = (id: string, name: string, args: Record<string, unknown>): MessageToolCall => ({
  id,
  type: "function",
  function: { name, arguments: args },
});
const result = (id: string, content: string): ChatMessage => ({ role: "tool", content, tool_call_id: id });

const add: ToolDefinition = {
  type: "function",
  function: { name: "add", description: "Adds", parameters: { type: "object", properties: {} } },
};
const INTRODUCTION = `You have access to functions. If you decide to invoke any of the function(s), you MUST put it in the format of
{"name": function name, "parameters": dictionary of argument name and its value}

If you invoke several functions, put them in a list. You SHOULD NOT include any other text in the response if you call a function
[
  {
    "name": "add",
    "description": "Adds",
    "parameters": {
      "type": "object",
      "properties": {}
    }
  }
]`;

function messagesOf(messages: readonly ChatMessage[], tools?: readonly ToolDefinition[], hasSystemRole = true) {
  return toolsAsText({ kind: "chat", messages, tools }, hasSystemRole).messages;
}

describe("tools", () => {
  it("are introduced in a system message of their own", () => {
    expect(messagesOf([user("Hi")], [add])).toEqual([{ role: "system", content: INTRODUCTION }, user("Hi")]);
  });

  it("are introduced before what the system message says", () => {
    const system = { role: "system", content: "Be kind.", name: "boss" };
    expect(messagesOf([system, user("Hi")], [add])[0]).toEqual({ ...system, content: `${INTRODUCTION}\n\nBe kind.` });
  });

  it("are introduced by the first user where there is no system role", () => {
    const turns = [assistant("Welcome."), user("Hi"), assistant("Hello."), user("Bye")];
    const introduced = [turns[0], user(`${INTRODUCTION}\n\nHi`), turns[2], turns[3]];
    expect(messagesOf(turns, [add], false)).toEqual(introduced);
    expect(messagesOf([], [add], false)).toEqual([user(INTRODUCTION)]);
  });

  it("leave the conversation as it is where there are none", () => {
    const input = {
      kind: "chat",
      messages: [user("Hi")],
      templateKwargs: { a: 1 },
      addGenerationPrompt: false,
    } as const;
    expect(toolsAsText(input, true)).toEqual(input);
    expect(messagesOf([user("Hi")], [])).toEqual([user("Hi")]);
  });

  it("leave nothing for the template, and keep what else it is given", () => {
    const input = { kind: "chat", messages: [user("Hi")], tools: [add], templateKwargs: { a: 1 } } as const;
    const { messages, ...rest } = toolsAsText(input, true);
    expect(rest).toEqual({ kind: "chat", templateKwargs: { a: 1 } });
  });
});

describe("calls and results", () => {
  it("are the assistant's JSON and the user's text", () => {
    const args = { a: [1, { b: "x,\n y: z" }], c: {}, d: null };
    const turns = [user("Add."), assistant("", call("1", "add", args)), result("1", "3"), assistant("Three.")];
    expect(messagesOf(turns)).toEqual([
      user("Add."),
      assistant(String.raw`{"name": "add", "parameters": {"a": [1, {"b": "x,\n y: z"}], "c": {}, "d": null}}`),
      user("add returned:\n3"),
      assistant("Three."),
    ]);
  });

  it("of one turn are a list, and one message with what the user says next", () => {
    const turns = [
      user("Go."),
      assistant("I look.", call("1", "add", {}), call("2", "roll", { n: 2 })),
      result("2", "6"),
      result("1", "3"),
      user("And now?"),
      user("Well?"),
    ];
    expect(messagesOf(turns)).toEqual([
      user("Go."),
      assistant('I look.\n[{"name": "add", "parameters": {}}, {"name": "roll", "parameters": {"n": 2}}]'),
      user("roll returned:\n6\n\nadd returned:\n3\n\nAnd now?"),
      user("Well?"),
    ]);
  });

  it("keep what was thought, and names", () => {
    const turn = { ...assistant("Hm.", call("1", "add", {})), reasoning_content: "Two.", name: "helper" };
    const { tool_calls, ...rest } = turn;
    expect(messagesOf([turn])).toEqual([{ ...rest, content: 'Hm.\n{"name": "add", "parameters": {}}' }]);
  });
});

const ROUND_TRIP = [
  user("Add."),
  assistant("", call("1", "add", {}), call("2", "add", {})),
  result("1", "3"),
  result("2", "4"),
  assistant("Done."),
  user("Thanks."),
];

function expectRendered(template: ChatTemplate): void {
  expect(template.toolFormat).toBe("json");
  const { messages } = toolsAsText({ kind: "chat", messages: ROUND_TRIP, tools: [add] }, template.hasSystemRole);
  const text = template.render(messages);
  for (const part of [INTRODUCTION, '[{"name": "add", "parameters": {}}, ', "add returned:\n3\n\nadd returned:\n4"]) {
    expect(text).toContain(part);
  }
}

it("the embedded model's template takes a whole round trip", () => {
  const { config } = readTokenizerFiles("embedded");
  expectRendered(new ChatTemplate(config!.chat_template as string, config!));
});

it
  .skipIf(!hasSharedModels)
  .each([
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "google-gemma-2-2b-it",
    "llama-cpp-deepseek-r1",
    "meetkai-functionary-medium-v3.1",
    "microsoft-Phi-3.5-mini-instruct",
  ])("%s takes a whole round trip", (file) => {
  const source = readSharedText(`chat-templates/${file}.jinja`);
  expectRendered(new ChatTemplate(source, { bos_token: "<s>", eos_token: "</s>" }));
});
