import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ToolFormat } from "../../protocol/messages";
import { cut } from "../../testing/cut";
import type { ToolCallDelta } from "../openai-types";
import type { CallPiece } from "./call-pieces";
import { CALL_SYNTAX } from "./call-syntax";
import { ToolCalls } from "./tool-calls";

interface Whole {
  readonly content: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
}

/** What the pieces of a text become together. */
function read(format: ToolFormat, pieces: readonly string[], isParallel = true): Whole {
  let numIds = 0;
  const names = new Set(["add", "get_time"]);
  const parser = new ToolCalls({ syntax: CALL_SYNTAX[format], names, isParallel, newId: () => `id${numIds++}` });
  return together([...pieces.map((piece) => parser.push(piece)), parser.end()]);
}

/** The first delta of a call has its id, type and name, the others nothing but arguments. */
function together(pieces: readonly CallPiece[]): Whole {
  const calls: { id: string; name: string; arguments: string }[] = [];
  for (const { index, id, type, function: fn } of pieces.flatMap((piece) => piece.calls)) {
    if (index === calls.length) {
      expect(type).toBe("function");
      calls.push({ id: id ?? "", name: fn.name ?? "", arguments: fn.arguments ?? "" });
    } else {
      expect([index, id, type, fn.name]).toEqual([calls.length - 1, undefined, undefined, undefined]);
      calls[index].arguments += fn.arguments ?? "";
    }
  }
  return { content: pieces.map(({ content }) => content).join(""), calls };
}

const add = (args: string, id = "id0") => ({ id, name: "add", arguments: args });
const time = (args: string, id = "id1") => ({ id, name: "get_time", arguments: args });

type Case = readonly [format: ToolFormat, text: string, content: string, calls: Whole["calls"]];

const CASES: readonly Case[] = [
  [
    "hermes",
    '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": [2]}}\n</tool_call>',
    "",
    [add('{"a": 1, "b": [2]}')],
  ],
  [
    "hermes",
    'Let me see.\n<tool_call>{"arguments": {"a": "}"}, "name": "add"}</tool_call>\n',
    "Let me see.",
    [add('{"a": "}"}')],
  ],
  [
    "hermes",
    '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>\n<tool_call>\n{"name": "get_time"}\n</tool_call> Done. ',
    " Done.",
    [add("{}"), time("{}")],
  ],
  [
    "hermes",
    '<tool_call>{"name": "add", "arguments": {"s": "</tool_call>\\""}}</tool_call>',
    "",
    [add('{"s": "</tool_call>\\""}')],
  ],
  // A string of JSON, a brace too many, and one too few.
  [
    "hermes",
    '<tool_call>{"name": "add", "arguments": "{\\"a\\": \\"\\u00e9\\ud83d\\ude00\\"}"}</tool_call>',
    "",
    [add('{"a": "é😀"}')],
  ],
  ["hermes", '<tool_call>{"name": "add", "arguments": {"a": 1}}}\n</tool_call>', "", [add('{"a": 1}')]],
  ["hermes", '<tool_call>{"name": "add", "arguments": {"a": 1}\n</tool_call>ok', "ok", [add('{"a": 1}')]],
  // No calls.
  ["hermes", "It is a <tool_call> tag, < or >. ", "It is a <tool_call> tag, < or >. ", []],
  ["hermes", '{"name": "add", "arguments": {}}', '{"name": "add", "arguments": {}}', []],
  [
    "hermes",
    '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
    '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
    [],
  ],
  ["hermes", '<tool_call>{"name": 3}</tool_call>', '<tool_call>{"name": 3}</tool_call>', []],
  ["hermes", '<tool_call>\n{"nam', '<tool_call>\n{"nam', []],
  ["hermes", "<tool_call>\n{}", "<tool_call>\n{}", []],
  ["hermes", '<tool_call>\n<tool_call>\n{"name": "add", "arguments": 7}', "<tool_call>", [add("7")]],
  ["hermes", "Hm <tool_ca", "Hm <tool_ca", []],
  ["hermes", "\n\n", "\n\n", []],
  // Ends within a call: what was told stays.
  ["hermes", '<tool_call>{"name": "add", "arguments": {"a": "x', "", [add('{"a": "x')]],
  ["hermes", '<tool_call>{"name": "add", "arguments": {}}</tool_c', "", [add("{}")]],

  ["llama3", '{"name": "add", "parameters": {"a": 1}}', "", [add('{"a": 1}')]],
  [
    "llama3",
    '\n<|python_tag|>{"type": "function", "name": "add", "parameters": {"a": 1}}<|eom_id|>',
    "",
    [add('{"a": 1}')],
  ],
  [
    "llama3",
    '{"name": "add", "parameters": {}}; {"name": "get_time", "parameters": {"z": null}}',
    "",
    [add("{}"), time('{"z": null}')],
  ],
  ["llama3", '{"answer": 42}', '{"answer": 42}', []],
  ["llama3", '<|python_tag|>print("{}")<|eom_id|>', 'print("{}")', []],
  ["llama3", 'Call {"name": "add"}', 'Call {"name": "add"}', []],
  ["llama3", '{"name": "add", "parameters": {}} is it.', "is it.", [add("{}")]],

  ["mistral", '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}, "id": "abcdefghi"}]', "", [add('{"a": 1}')]],
  [
    "mistral",
    '[TOOL_CALLS][{"name": "add", "arguments": {}}, {"name": "get_time", "arguments": {}}]',
    "",
    [add("{}"), time("{}")],
  ],
  [
    "mistral",
    'So:[TOOL_CALLS]add[ARGS]{"a": "{"}[TOOL_CALLS]get_time[CALL_ID]abcdefghi[ARGS]{}',
    "So:",
    [add('{"a": "{"}'), time("{}")],
  ],
  ["mistral", '[TOOL_CALLS]add{"a": 1}', "", [add('{"a": 1}')]],
  ["mistral", "[TOOL_CALLS]rm[ARGS]{}", "rm{}", []],
  ["mistral", "[TOOL_CALLS]add to it", "add to it", []],
  ["mistral", '[TOOL_CALLS][{"name": "add", "arguments": {}}, {"name": "rm"}]', ', {"name": "rm"}]', [add("{}")]],
  ["mistral", "A [list] of [TOOLS]", "A [list] of [TOOLS]", []],

  ["json", '{"name": "add", "parameters": {"a": 1}}', "", [add('{"a": 1}')]],
  ["json", ' [{"name": "add", "arguments": {}}, {"name": "get_time", "arguments": {}}]\n', "", [add("{}"), time("{}")]],
  ["json", 'Well:\n```json\n{"name": "add", "arguments": {"a": 1}}\n```\nThat.', "Well:\nThat.", [add('{"a": 1}')]],
  ["json", '```tool_call\n{"name": "add", "arguments": {}}\n```', "", [add("{}")]],
  ["json", "```tool_code\nadd(1)\n```", "```tool_code\nadd(1)\n```", []],
  ["json", '```json\n{"a": 1}\n```', '```json\n{"a": 1}\n```', []],
  ["json", "[1, 2]", "[1, 2]", []],
];

describe("ToolCalls", () => {
  it.each(CASES)("reads as %s: %s", (format, text, content, calls) => {
    expect(read(format, [text])).toEqual({ content, calls });
    expect(read(format, [...text])).toEqual({ content, calls });
  });

  it("reads the same however the text is cut", () => {
    const pieces = fc.constantFrom(
      ...[
        "<tool_call>",
        "</tool_call>",
        "<|python_tag|>",
        "[TOOL_CALLS]",
        "[ARGS]",
        "```json",
        "```",
        "\n",
        " ",
        ",",
        ";",
      ],
      ...[
        '{"name": "add", "arguments": {"a": "\\n}"}}',
        '{"name": "rm"}',
        "{",
        "}",
        "[",
        "]",
        '"',
        "add",
        "x: 1",
        "\\u00e9",
      ],
    );
    const formats = fc.constantFrom<ToolFormat>("hermes", "llama3", "mistral", "json");
    fc.assert(
      fc.property(formats, fc.array(pieces), fc.boolean(), fc.array(fc.nat(12)), (format, parts, isParallel, cuts) => {
        const text = parts.join("");
        expect(read(format, cut(text, cuts), isParallel)).toEqual(read(format, [text], isParallel));
      }),
      { numRuns: 500 },
    );
  });

  it("loses nothing of a text without a known function", () => {
    const pieces = fc.constantFrom(
      "<tool_call>",
      "```json",
      "\n",
      '{"name": "rm", "arguments": {}}',
      "{",
      "}",
      "[",
      '"',
      "x",
    );
    fc.assert(
      fc.property(fc.constantFrom<ToolFormat>("hermes", "json"), fc.array(pieces), (format, parts) => {
        expect(read(format, parts)).toEqual({ content: parts.join(""), calls: [] });
      }),
    );
  });

  it("gives the text of any arguments as it stands", () => {
    const written: Readonly<Record<ToolFormat, (args: string) => string>> = {
      hermes: (args) => `<tool_call>\n{"name": "add", "arguments": ${args}}\n</tool_call>`,
      llama3: (args) => `<|python_tag|>{"name": "add", "parameters": ${args}}`,
      mistral: (args) => `[TOOL_CALLS]add[ARGS]${args}`,
      json: (args) => `\`\`\`json\n[{"parameters": ${args}, "name": "add"}]\n\`\`\``,
    };
    const formats = fc.constantFrom<ToolFormat>("hermes", "llama3", "mistral", "json");
    const values = fc.dictionary(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(formats, values, fc.nat(2), fc.array(fc.nat(12)), (format, value, indent, cuts) => {
        const args = JSON.stringify(value, null, indent);
        expect(read(format, cut(written[format](args), cuts))).toEqual({ content: "", calls: [add(args)] });
      }),
    );
  });

  it("streams arguments once the name is known, and not a half of a character", () => {
    const newId = () => "id0";
    const parser = new ToolCalls({ syntax: CALL_SYNTAX.hermes, names: new Set(["add"]), isParallel: true, newId });
    const first = (args: string): ToolCallDelta => ({
      index: 0,
      id: "id0",
      type: "function",
      function: { name: "add", arguments: args },
    });
    const more = (args: string): ToolCallDelta => ({ index: 0, function: { arguments: args } });
    expect(parser.push('Hi <tool_call>{"name": "add"')).toEqual({ content: "Hi", calls: [] });
    expect(parser.push(', "arguments": ')).toEqual({ content: "", calls: [] });
    expect(parser.push('"{\\ud83d')).toEqual({ content: "", calls: [first("{")] });
    expect(parser.push("\\ude")).toEqual({ content: "", calls: [] });
    expect(parser.push('00 b"')).toEqual({ content: "", calls: [more("😀 b")] });
    expect(parser.push("}</tool_call>")).toEqual({ content: "", calls: [] });
    expect(parser.end()).toEqual({ content: "", calls: [] });
  });

  it("drops calls behind the first where one is asked for, and keeps the text", () => {
    const text = '<tool_call>{"name": "add"}</tool_call>\n<tool_call>{"name": "get_time"}</tool_call>\nDone.';
    expect(read("hermes", [text], false)).toEqual({ content: "\nDone.", calls: [add("{}")] });
  });
});
