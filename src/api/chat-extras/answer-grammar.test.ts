import { describe, expect, it } from "vitest";
import type { ToolFormat } from "../../protocol/messages";
import type { GrammarFormat } from "../../sampling/grammar";
import { loadXGrammar } from "../../testing/xgrammar";
import { answerGrammars } from "./answer-grammar";
import { CALL_SYNTAX } from "./call-syntax";
import { responseFormat } from "./response-format";
import { ToolCalls } from "./tool-calls";
import { validateTools } from "./validate-tools";

const TOOLS = [
  {
    type: "function",
    function: {
      name: "add",
      parameters: { type: "object", properties: { a: { type: "integer" } }, required: ["a"] },
    },
  },
  { type: "function", function: { name: "get_time" } },
];
const ANSWER_SCHEMA = { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] };
const RESPONSE_FORMAT = { type: "json_schema", json_schema: { name: "answer", schema: ANSWER_SCHEMA } };

const { Grammar, Testings } = loadXGrammar() as unknown as typeof import("@mlc-ai/web-xgrammar");

function grammarsOf(format: ToolFormat, body: object, hasReasoning = false) {
  const fields = body as Record<string, unknown>;
  const json = fields.response_format ? responseFormat(fields.response_format, "response_format") : null;
  return answerGrammars(format, validateTools(fields), json, hasReasoning);
}

/** Of the texts, those that XGrammar says are in the language. */
async function accepted(format: GrammarFormat | undefined, texts: readonly string[]): Promise<string[]> {
  // `param` is Cairn's own.
  const withoutParam = (key: string, value: unknown) => (key === "param" ? undefined : value);
  const tag = JSON.stringify({ type: "structural_tag", format }, withoutParam);
  const grammar = await Grammar.fromStructuralTag(tag);
  const verdicts = await Promise.all(texts.map((text) => Testings.isGrammarAcceptString(grammar, text)));
  grammar.dispose();
  return texts.filter((_, index) => verdicts[index]);
}

const ADD = { hermes: '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>' } as const;
const TIME = { hermes: '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>' } as const;

/** By format: one call, two calls, and a call that breaks its schema. */
const CALLS: Readonly<Record<ToolFormat, readonly [one: readonly string[], two: readonly string[], bad: string]>> = {
  hermes: [[ADD.hermes], [`${ADD.hermes}\n${TIME.hermes}`], ADD.hermes.replace("1", '"1"')],
  llama3: [
    ['{"name": "add", "parameters": {"a": 1}}'],
    ['{"name": "add", "parameters": {"a": 1}}; {"name": "get_time", "parameters": {}}'],
    '{"name": "add", "parameters": {}}',
  ],
  mistral: [
    [
      '[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}}]',
      '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}]',
      '[TOOL_CALLS]add[ARGS]{"a": 1}',
    ],
    ['[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}}, {"name": "get_time", "arguments": {}}]'],
    '[TOOL_CALLS]add[ARGS]{"b": 1}',
  ],
  json: [
    ['{"name": "add", "parameters": {"a": 1}}'],
    ['[{"name": "add", "parameters": {"a": 1}}, {"name": "get_time", "parameters": {}}]'],
    '{"name": "rm", "parameters": {"a": 1}}',
  ],
};
const FORMATS = Object.keys(CALLS) as ToolFormat[];

describe.each(FORMATS)("calls as %s", (format) => {
  const [one, two, bad] = CALLS[format];
  const texts = [...one, ...two, bad, "Hello.", ""];

  it("may be several where tool_choice is required", async () => {
    const { grammar } = grammarsOf(format, { tools: TOOLS, tool_choice: "required" });
    expect(await accepted(grammar, texts)).toEqual([...one, ...two]);
  });

  it("are read as what they are", () => {
    const names = new Set(["add", "get_time"]);
    for (const [numCalls, text] of [
      ...one.map((text) => [1, text] as const),
      ...two.map((text) => [2, text] as const),
    ]) {
      const reader = new ToolCalls({ syntax: CALL_SYNTAX[format], names, isParallel: true, newId: () => "id" });
      const pieces = [reader.push(text), reader.end()];
      expect(pieces.map(({ content }) => content).join("")).toBe("");
      expect(pieces.flatMap(({ calls }) => calls)).toHaveLength(numCalls);
    }
  });

  it("are one without parallel_tool_calls, and of the function that was named", async () => {
    const single = grammarsOf(format, { tools: TOOLS, tool_choice: "required", parallel_tool_calls: false });
    expect(await accepted(single.grammar, texts)).toEqual([...one]);
    const named = (name: string) => ({ tools: TOOLS, tool_choice: { type: "function", function: { name } } });
    expect(await accepted(grammarsOf(format, named("add")).grammar, texts)).toEqual([...one]);
    expect(await accepted(grammarsOf(format, named("get_time")).grammar, texts)).toEqual([]);
  });

  it("are free where the model decides", () => {
    expect(grammarsOf(format, { tools: TOOLS })).toEqual({});
    expect(grammarsOf(format, { tools: TOOLS, tool_choice: "none" })).toEqual({});
  });
});

const STRICT = [{ ...TOOLS[0], function: { ...TOOLS[0].function, strict: true } }, TOOLS[1]];

describe("a strict function", () => {
  it.each(["hermes", "mistral"] as const)("as %s is kept to amid text", async (format) => {
    const [one, , bad] = CALLS[format];
    const { grammar } = grammarsOf(format, { tools: STRICT });
    const texts = ["Hello.", `So: ${one[0]}`, `So: ${bad}`];
    expect(await accepted(grammar, texts)).toEqual(texts.slice(0, 2));
  });

  it.each(["llama3", "json"] as const)("as %s is refused where the model decides", (format) => {
    const refusal = { code: "unsupported_parameter", data: { param: "tools[1].function.strict" } };
    expect(() => grammarsOf(format, { tools: [...STRICT].reverse() })).toThrow(expect.objectContaining(refusal));
    expect(grammarsOf(format, { tools: STRICT, tool_choice: "required" }).grammar).toBeDefined();
  });
});

describe("response_format", () => {
  const json = '{"ok": true}';

  it("is kept to alone, and beside tools that may not be called", async () => {
    for (const body of [{}, { tools: TOOLS, tool_choice: "none" }]) {
      const { grammar } = grammarsOf("json", { ...body, response_format: RESPONSE_FORMAT });
      expect(await accepted(grammar, [json, '{"ok": 1}', "{}"])).toEqual([json]);
    }
    expect(grammarsOf("json", { response_format: RESPONSE_FORMAT })).toEqual({
      grammar: { type: "json_schema", json_schema: ANSWER_SCHEMA, param: "response_format.json_schema.schema" },
    });
    expect(grammarsOf("json", { response_format: { type: "text" } })).toEqual({});
  });

  it.each(["hermes", "mistral"] as const)("goes with calls as %s, one or the other", async (format) => {
    const [[one], , bad] = CALLS[format];
    const body = { tools: STRICT, response_format: RESPONSE_FORMAT };
    const { grammar } = grammarsOf(format, body);
    expect(await accepted(grammar, [json, one, bad, `${json}${one}`, "Hello."])).toEqual([json, one]);
  });

  it.each(["llama3", "json"] as const)("does not go with calls as %s that the model decides on", (format) => {
    const body = { tools: TOOLS, response_format: RESPONSE_FORMAT };
    const refusal = { code: "unsupported_parameter", data: { param: "response_format" } };
    expect(() => grammarsOf(format, body)).toThrow(expect.objectContaining(refusal));
    expect(grammarsOf(format, { ...body, tool_choice: "required" })).toEqual(
      grammarsOf(format, { tools: TOOLS, tool_choice: "required" }),
    );
  });
});

describe("thoughts", () => {
  it.each(FORMATS)("may come before calls as %s that are asked for", async (format) => {
    const [[one], [two], bad] = CALLS[format];
    const { grammar, thinkingGrammar } = grammarsOf(format, { tools: TOOLS, tool_choice: "required" }, true);
    const texts = [
      one,
      two,
      `<think>Hm.</think>\n\n${one}`,
      `<think>${bad}</think>\n\n${two}`,
      `<think></think>\n\n${bad}`,
    ];
    expect(await accepted(grammar, texts)).toEqual(texts.slice(0, 4));
    expect(await accepted(thinkingGrammar, [...texts, `Hm.</think>\n\n${one}`])).toEqual([
      ...texts.slice(2, 4),
      `Hm.</think>\n\n${one}`,
    ]);
  });

  it("may come first, up to their end, and do where the text begins in them", async () => {
    const { grammar, thinkingGrammar } = grammarsOf("hermes", { response_format: RESPONSE_FORMAT }, true);
    const texts = [
      '{"ok": true}',
      '<think>\nHm, {"a"\n</think>\n\n{"ok": true}',
      'Hm.</think>\n\n{"ok": true}',
      "Hm.",
      "<think>Hm.",
    ];
    expect(await accepted(grammar, texts)).toEqual(texts.slice(0, 2));
    expect(await accepted(thinkingGrammar, texts)).toEqual(texts.slice(1, 3));
  });

  it("may come before calls amid text", async () => {
    const { grammar } = grammarsOf("hermes", { tools: STRICT }, true);
    const texts = [`<think>Hm, <tool_call>.</think>\n\nSo: ${ADD.hermes}`, `So: ${CALLS.hermes[2]}`];
    expect(await accepted(grammar, texts)).toEqual(texts.slice(0, 1));
  });
});
