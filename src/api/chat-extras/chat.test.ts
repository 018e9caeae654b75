import { expect, it } from "vitest";
import type { ChatInput } from "../../protocol/messages";
import { FAKE_INFO } from "../../testing/fake-engine-worker";
import { readChat, readMessages } from "./chat";

const parameters = { type: "object", properties: {} };
const tools = [{ type: "function", function: { name: "add", description: "Adds", parameters } }];
const messages = [
  { role: "user", content: "Add." },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "1", type: "function", function: { name: "add", arguments: "{}" } }],
  },
  { role: "tool", content: "3", tool_call_id: "1" },
];
const HERMES = { ...FAKE_INFO, toolFormat: "hermes" } as const;
const CALL = '{"name": "add", "parameters": {}}';

const inputOf = (info: typeof FAKE_INFO) =>
  readChat({ messages, tools }, info, () => null as never).request.input as ChatInput;

it("a template that knows of tools is given them", () => {
  expect(inputOf(HERMES)).toMatchObject({ tools, messages: [messages[0], { role: "assistant" }, messages[2]] });
});

it("for another template tools, calls and results are written into the conversation", () => {
  const { tools: given, messages: written } = inputOf(FAKE_INFO);
  expect(given).toBe(undefined);
  const returned = { role: "user", content: "add returned:\n3" };
  const introduction = { role: "system", content: expect.stringContaining('"description": "Adds"') };
  expect(written).toEqual([introduction, messages[0], { role: "assistant", content: CALL }, returned]);
  const { messages: alone } = inputOf({ ...FAKE_INFO, hasSystemRole: false });
  expect(alone[0]).toMatchObject({ role: "user", content: expect.stringMatching(/"description": "Adds".*Add\.$/s) });
});

it("messages alone are written as beside tools", () => {
  expect(readMessages(messages, HERMES).messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool"]);
  expect(readMessages(messages, FAKE_INFO).messages).toEqual(inputOf(FAKE_INFO).messages.slice(1));
});
