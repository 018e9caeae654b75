import { describe, expect, it } from "vitest";
import { validateMessages } from "./validate-messages";

const hello = { role: "user", content: "Hello" };
const call = (args: string, id = "a1") => ({ id, type: "function", function: { name: "add", arguments: args } });
const caller = (...tool_calls: object[]) => ({ role: "assistant", content: null, tool_calls });
const refusal = (code: string, param: string) => expect.objectContaining({ code, data: { param } });

describe("validateMessages", () => {
  it("joins text parts, reads developer as system and keeps names", () => {
    const parts = [
      { type: "text", text: "a" },
      { type: "text", text: "b" },
    ];
    const messages = [
      { role: "developer", content: [] },
      { role: "user", name: "Ann", content: parts },
      { role: "assistant", content: "c", refusal: null },
    ];
    expect(validateMessages(messages)).toEqual([
      { role: "system", content: "" },
      { role: "user", name: "Ann", content: "a\nb" },
      { role: "assistant", content: "c" },
    ]);
  });

  it("parses the arguments of calls, and names the function that a tool's message answers for", () => {
    const messages = [hello, caller(call('{"a": [1]}')), { role: "tool", tool_call_id: "a1", content: "2" }];
    expect(validateMessages(messages)).toEqual([
      hello,
      {
        role: "assistant",
        content: "",
        tool_calls: [{ id: "a1", type: "function", function: { name: "add", arguments: { a: [1] } } }],
      },
      { role: "tool", content: "2", name: "add", tool_call_id: "a1" },
    ]);
  });

  it("takes answers as they came, of other servers too", () => {
    const others = { refusal: null, annotations: [], audio: null, function_call: null, tool_calls: null };
    const answer = { role: "assistant", content: "Hi", reasoning_content: "Hm.", ...others };
    const silent = { role: "assistant", tool_calls: [call("{}")] };
    expect(validateMessages([answer, silent, { role: "assistant", content: "", tool_calls: [] }])).toEqual([
      { role: "assistant", content: "Hi", reasoning_content: "Hm." },
      { role: "assistant", content: "", tool_calls: [{ ...call("{}"), function: { name: "add", arguments: {} } }] },
      { role: "assistant", content: "" },
    ]);
  });

  it("says what arguments must be", () => {
    const message = "messages[2].tool_calls[0].function.arguments must be the JSON text of an object.";
    expect(() => validateMessages([hello, hello, caller(call("[1]"))])).toThrow(message);
  });

  it.each([
    [undefined, "messages"],
    [[], "messages"],
    ["Hello", "messages"],
    [[hello, 3], "messages[1]"],
    [[hello, { role: "user", content: 5 }], "messages[1].content"],
    [[{ role: "user" }], "messages[0].content"],
    [[{ role: "user", content: null }], "messages[0].content"],
    [[{ role: "assistant", content: null }], "messages[0].content"],
    [[{ role: "assistant", content: null, tool_calls: [] }], "messages[0].content"],
    [[{ role: "user", content: [{ type: "text" }] }], "messages[0].content[0].text"],
    [[{ role: "narrator", content: "" }], "messages[0].role"],
    [[{ content: "" }], "messages[0].role"],
    [[{ role: "user", content: "", name: 1 }], "messages[0].name"],
    [[{ role: "assistant", content: "", reasoning_content: 1 }], "messages[0].reasoning_content"],
    [[{ role: "assistant", content: "", tool_calls: {} }], "messages[0].tool_calls"],
    [[caller({ ...call("{}"), id: "" })], "messages[0].tool_calls[0].id"],
    [[caller({ ...call("{}"), type: undefined })], "messages[0].tool_calls[0].type"],
    [[caller(call("{}"), { ...call("{}"), function: null })], "messages[0].tool_calls[1].function"],
    [
      [caller({ ...call("{}"), function: { name: "a b", arguments: "{}" } })],
      "messages[0].tool_calls[0].function.name",
    ],
    [[caller(call(""))], "messages[0].tool_calls[0].function.arguments"],
    [[caller(call("null"))], "messages[0].tool_calls[0].function.arguments"],
    [
      [caller({ ...call("{}"), function: { name: "a", arguments: {} } })],
      "messages[0].tool_calls[0].function.arguments",
    ],
    [[{ role: "tool", content: "2" }], "messages[0].tool_call_id"],
    [[{ role: "tool", content: "2", tool_call_id: "a1" }, caller(call("{}"))], "messages[0].tool_call_id"],
    [[caller(call("{}")), { role: "tool", tool_call_id: "a1" }], "messages[1].content"],
  ])("refuses %j as invalid, naming %s", (messages, param) => {
    expect(() => validateMessages(messages)).toThrow(refusal("invalid_request", param));
  });

  it.each([
    [{ role: "function", name: "add", content: "2" }, "role"],
    [{ role: "user", content: [{ type: "image_url", image_url: {} }] }, "content[0].type"],
    [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }, "content[0].type"],
    [{ role: "user", content: [{ type: "file", file: {} }] }, "content[0].type"],
    [{ role: "assistant", content: [{ type: "refusal", refusal: "No." }] }, "content[0].type"],
    [{ role: "user", content: [{ type: "text", text: "a", annotations: [] }] }, "content[0].annotations"],
    [{ role: "assistant", content: "", refusal: "No." }, "refusal"],
    [{ role: "assistant", content: "", audio: { id: "a" } }, "audio"],
    [{ role: "assistant", content: "", annotations: [{}] }, "annotations"],
    [{ role: "assistant", function_call: { name: "a", arguments: "" } }, "function_call"],
    [{ role: "user", content: "", tool_calls: [call("{}")] }, "tool_calls"],
    [{ role: "user", content: "", reasoning_content: "" }, "reasoning_content"],
    [{ role: "tool", content: "", tool_call_id: "a1", name: "add" }, "name"],
    [caller({ id: "a1", type: "custom", custom: {} }), "tool_calls[0].type"],
    [caller({ ...call("{}"), index: 0 }), "tool_calls[0].index"],
  ])("refuses %j as unsupported, naming %s", (message, field) => {
    expect(() => validateMessages([message])).toThrow(refusal("unsupported_parameter", `messages[0].${field}`));
  });
});
