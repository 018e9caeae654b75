import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerateRequest } from "../protocol/messages";
import type { GrammarFormat } from "../sampling/grammar";
import { openDawnGpu } from "../testing/gpu";
import { Random } from "../testing/random";
import { randomSchema } from "../testing/random-schema";
import { expectServing, loadTestEngine, type Outcome, TestRequest } from "../testing/test-engine";
import { Tokenizer } from "../tokenizer/tokenizer";
import type { Engine } from "./engine";

const dawn = await openDawnGpu();
const NUM_SCHEMAS = process.env.CAIRN_SOAK ? 1000 : 100;
const NUM_AT_ONCE = 8;
const ajv = new Ajv2020({ allErrors: true, strict: false });
let engine: Engine;

beforeAll(async () => {
  if (dawn) engine = await loadTestEngine(dawn);
});
afterAll(() => engine?.dispose());

const readModelJson = (name: string) => JSON.parse(readFileSync(`public/models/cairn-stories-3M/${name}.json`, "utf8"));
const tokenizer = new Tokenizer(readModelJson("tokenizer"), readModelJson("tokenizer_config"));
const tokenOf = (text: string) => tokenizer.tokenId(text)!;

function begin(
  grammar: GrammarFormat | undefined,
  temperature: number,
  seed: number,
  fields: Partial<GenerateRequest> = {},
) {
  return new TestRequest(engine, {
    input: { kind: "text", text: "Once upon a time" },
    grammar,
    maxTokens: 64,
    sampling: { temperature, seed: [seed, 0] },
    ...fields,
  });
}

describe.skipIf(!dawn)("texts that keep to a grammar", () => {
  it(`${NUM_SCHEMAS} random schemas, ${NUM_AT_ONCE} at a time: each text is JSON that its schema allows`, async () => {
    const random = new Random(7);
    const waiting = Array.from({ length: NUM_SCHEMAS }, (_, index) => ({ schema: randomSchema(random), index }));
    const problems: string[] = [];
    const work = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const { schema, index } = next;
        const format = { type: "json_schema", json_schema: schema } as const;
        const { text, end } = await begin(format, index % 3 === 0 ? 0 : 1, index).outcome;
        const problem = problemOf(text, end, schema);
        if (problem) problems.push(`${JSON.stringify(schema)}: ${JSON.stringify(text)}: ${problem}`);
      }
    };
    await Promise.all(Array.from({ length: NUM_AT_ONCE }, work));
    expect(problems).toEqual([]);
    await expectServing(engine);
  }, 1_200_000);

  function problemOf(text: string, end: Outcome["end"], schema: object): string | null {
    if (end !== "stop") return `it ended with ${JSON.stringify(end)}`;
    try {
      const validate = ajv.compile(schema);
      return validate(JSON.parse(text)) ? null : ajv.errorsText(validate.errors);
    } catch (error) {
      return String(error);
    }
  }

  it("beside others, which sample what they sample alone; and the same again by its seed", async () => {
    const schema = { type: "object", properties: { name: { type: "string", maxLength: 5 } }, required: ["name"] };
    const format = { type: "json_schema", json_schema: schema } as const;
    const free = { maxTokens: 24 };
    const alone = await begin(undefined, 1, 5, free).outcome;
    const [first, beside, second] = await Promise.all([
      begin(format, 1, 3).outcome,
      begin(undefined, 1, 5, free).outcome,
      begin(format, 1, 3).outcome,
    ]);
    expect(beside.tokenIds).toEqual(alone.tokenIds);
    expect(second.text).toBe(first.text);
    expect(problemOf(first.text, first.end, schema)).toBeNull();
  });

  it("what the format spells out, in the order of a sequence; tags with any text in them, then JSON", async () => {
    const tag = { type: "tag", begin: "<think>", content: { type: "any_text" }, end: "." } as const;
    const choice = {
      type: "or",
      elements: ["yes", "no"].map((value) => ({ type: "const_string", value }) as const),
    } as const;
    const json = { type: "json_schema", json_schema: { type: "array", items: { const: 7 }, maxItems: 2 } } as const;
    const { text, end } = await begin({ type: "sequence", elements: [choice, json] }, 1, 1).outcome;
    expect([text, end]).toEqual([expect.stringMatching(/^(yes|no)\[(7(, 7)?)?\]$/), "stop"]);
    const thinking = await begin({ type: "sequence", elements: [tag, json] }, 0, 1).outcome;
    expect([thinking.text, thinking.end]).toEqual([expect.stringMatching(/^<think>[^.]+\.\[(7(, 7)?)?\]$/), "stop"]);
  });

  it("a call of a tool, as one model or another writes it", async () => {
    const schema = { type: "object", properties: { city: { enum: ["Oslo", "Rome"] } }, required: ["city"] };
    const call = (name: string) =>
      ({
        type: "tag",
        begin: `<tool_call>\n{"name": "${name}", "arguments": `,
        content: { type: "json_schema", json_schema: schema },
        end: "}\n</tool_call>",
      }) as const;
    const tags = [call("weather"), call("time")];
    const one = { triggers: ["<tool_call>"], tags, at_least_one: true, stop_after_first: true };
    const { text, end } = await begin({ type: "triggered_tags", ...one }, 1, 2).outcome;
    expect(text).toMatch(
      /^<tool_call>\n\{"name": "(weather|time)", "arguments": \{"city": "(Oslo|Rome)"\}\}\n<\/tool_call>$/,
    );
    expect(end).toBe("stop");
  });

  it("special tokens are written as themselves, and stand in no string", async () => {
    const turn = "<start_of_turn>";
    const marked = { type: "sequence", elements: [{ type: "const_string", value: `a${turn}b` }] } as const;
    const { tokenIds, end } = await begin(marked, 0, 1).outcome;
    expect(tokenIds).toContain(tokenOf(turn));
    expect(end).toBe("stop");
    const bias = { logitBias: new Map([[tokenOf(turn), 100]]), temperature: 0 };
    const string = { type: "json_schema", json_schema: { type: "string", minLength: 4, maxLength: 4 } } as const;
    const quoted = await begin(string, 0, 1, { sampling: bias }).outcome;
    expect(quoted.tokenIds).not.toContain(tokenOf(turn));
    expect(JSON.parse(quoted.text)).toHaveLength(4);
  });

  it("aborted while the grammar is made, and while the text is: both end, and others go on", async () => {
    const format = { type: "json_schema", json_schema: { type: "array", items: { type: "integer" } } } as const;
    const early = begin(format, 1, 1);
    early.abort();
    const running = new TestRequest(engine, { input: { kind: "text", text: "a" }, grammar: format }, ({ kind }) => {
      if (kind === "delta") running.abort();
    });
    for (const { outcome } of [early, running]) expect((await outcome).end).toMatchObject({ code: "aborted" });
    await expectServing(engine);
  });

  it("a schema that cannot be kept to is refused with its path; XGrammar's own failure harms nobody else", async () => {
    const schema = { type: "object", properties: { x: { type: "array", uniqueItems: true } } };
    const refused = await begin({ type: "json_schema", json_schema: schema, param: "s" }, 0, 1).outcome;
    expect(refused.end).toMatchObject({ code: "unsupported_parameter", data: { param: "s.properties.x.uniqueItems" } });
    const good = { type: "json_schema", json_schema: { const: 12 } } as const;
    // Triggers that begin no tag end in an abort of the wasm.
    const bad = {
      type: "triggered_tags",
      triggers: ["<x>"],
      tags: [{ type: "tag", begin: "<y>", content: { type: "any_text" }, end: "" }],
    } as const;
    const running = begin(good, 0, 1);
    const failed = begin(bad, 0, 1);
    const next = begin(good, 0, 1);
    expect((await failed.outcome).end).toMatchObject({ code: "invalid_request", data: { param: "response_format" } });
    for (const { outcome } of [running, next, begin(good, 0, 1)]) {
      expect(await outcome).toMatchObject({ text: "12", end: "stop" });
    }
  });
});
