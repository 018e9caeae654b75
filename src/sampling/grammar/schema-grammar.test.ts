import { describe, expect, test } from "vitest";
import { loadXGrammar } from "../../testing/xgrammar";
import { Grammars } from "./grammars";

/** One token a byte, so that any text can be tried; the last id ends a text. */
const STOP = 256;
const tokenizer = {
  tokenBytes: (id: number) => (id < STOP ? Uint8Array.of(id) : new Uint8Array(0)),
  isSpecial: () => false,
  tokenText: () => null,
};
const grammars = await Grammars.create(loadXGrammar(), { size: STOP + 1, tokenizer, stopIds: [STOP] });

const begin = (schema: unknown) =>
  grammars.begin({ type: "json_schema", json_schema: schema as Record<string, unknown>, param: "s" });

/** Whether a text is one that the grammar of a schema allows, whole. */
async function allows(schema: unknown, text: string): Promise<boolean> {
  const constraint = await begin(schema);
  try {
    for (const id of [...new TextEncoder().encode(text), STOP]) {
      if (((constraint.mask[id >>> 5] >>> (id & 31)) & 1) === 0) return false;
      if (id !== STOP) await constraint.accept(id);
    }
    return true;
  } finally {
    constraint.end();
  }
}

const NULL = { type: "null" };
const tree = { type: "object", properties: { c: { type: "array", items: { $ref: "#/$defs/n" } } } };
const day = (formatted: string) => `"${formatted}"`;

describe("texts that a schema allows, and some that it does not", () => {
  test.each<[name: string, schema: unknown, allowed: readonly string[], refused: readonly string[]]>([
    ["any JSON", true, ['{"a": [1.5e3, true, null, ""]}', "[]"], ["[1,2]", "[1, 2", "01", "1e999"]],
    ["strings", { type: "string" }, ['"a\\n\\u0041é😀"', '""'], ['"a\tb"', '"\\ud800"', '"a', '"\\x"']],
    ["bounded strings", { minLength: 2, maxLength: 3 }, ['"ab"', '"😀é"'], ['"a"', '"abcd"', '"a\tb"']],
    ["patterns", { pattern: "^[a-z]{2,3}\\d+$" }, ['"ab1"'], ['"a1"', '"abcd1"']],
    ["patterns without anchors", { pattern: 'b.|"$' }, ['"xbyz"', '"q\\""'], ['"b"', '"a"']],
    ["groups and classes", { pattern: "^(?:a|[^\\w-]+?)\\u00e9$" }, ['"aé"', '"  é"'], ['"bé"', '"a"']],
    ["dates", { format: "date" }, [day("2024-02-28")], [day("2024-02-30"), day("2024-13-01")]],
    ["date-times", { format: "date-time" }, [day("2024-01-01T00:00:00.5+01:00")], [day("2024-01-01")]],
    ["e-mail", { format: "email" }, [day("a.b@c.de")], [day("a@b")]],
    ["uuid", { format: "uuid" }, [day("12345678-1234-4234-8234-123456789abc")], [day("1")]],
    ["addresses", { format: "ipv4" }, [day("1.22.255.0")], [day("1.256.1.1")]],
    ["integers", { type: "integer" }, ["0", "-5", "17"], ["-0", "01", "1.0", "-"]],
    ["integers from below 0", { type: "integer", minimum: -5 }, ["-5", "0", "123456"], ["-6", "-", "-0"]],
    ["integers between", { type: "integer", minimum: 37, maximum: 1204 }, ["37", "99", "1204"], ["36", "1205", "037"]],
    ["exclusive bounds", { type: "integer", exclusiveMinimum: -5, exclusiveMaximum: 17 }, ["-4", "16"], ["-5", "17"]],
    [
      "numbers",
      { minimum: -1.5, maximum: 2.25 },
      ["-1.5", "2.25", "2.249", "0.001", "2.25000"],
      ["-1.51", "2.2501", "-0"],
    ],
    ["numbers above 0", { exclusiveMinimum: 0, maximum: 1 }, ["0.5", "1", "1.0"], ["0", "0.0", "1.1"]],
    ["small bounds", { minimum: 1e-7, exclusiveMaximum: 0.3 }, ["0.0000001", "0.29999"], ["0.3", "0.30", "0.00000009"]],
    [
      "arrays",
      { items: { type: "integer" }, minItems: 1, maxItems: 2 },
      ["[1]", "[1, 2]"],
      ["[]", "[1, 2, 3]", "[1,2]"],
    ],
    ["tuples", { prefixItems: [{ type: "integer" }, NULL], items: false }, ["[1, null]"], ["[1]", "[1, null, 2]"]],
    [
      "tuples and more",
      { prefixItems: [NULL], items: { const: 1 }, maxItems: 2 },
      ["[null]", "[null, 1]"],
      ["[null, 1, 1]"],
    ],
    [
      "objects",
      { properties: { a: NULL, b: NULL }, required: ["b"] },
      ['{"b": null}', '{"a": null, "b": null}'],
      ['{"a": null}', '{"b": null, "a": null}'],
    ],
    ["no properties", { properties: {}, additionalProperties: false }, ["{}"], ['{"a": 1}']],
    [
      "others beside them",
      { properties: { a: NULL, ab: NULL }, additionalProperties: { const: 1 } },
      ['{"a": null, "abc": 1, "": 1}', '{"b": 1}'],
      ['{"a": 1}', '{"ab": 1}', '{"x": 2}'],
    ],
    ["names with escapes", { properties: { 'a"é\n': { const: 1 } } }, ['{"a\\"é\\n": 1}'], []],
    ["constants", { enum: ["b\n", 1, { x: [1, 2] }] }, ['"b\\n"', '{"x": [1, 2]}'], ["2"]],
    ["constants of a type", { type: "string", enum: ["b", 1] }, ['"b"'], ["1"]],
    ["several types", { type: ["string", "null"], maxLength: 2 }, ['"a"', "null"], ['"abc"']],
    ["either", { anyOf: [{ type: "string" }, NULL] }, ['"a"', "null"], ["1"]],
    ["one of", { oneOf: [{ type: "string" }, NULL] }, ['"a"', "null"], ["1"]],
    ["all of", { type: "string", allOf: [{ minLength: 1 }, { maxLength: 1 }] }, ['"a"'], ['"ab"', '""']],
    ["refs", { $ref: "#/$defs/n", $defs: { n: tree } }, ['{"c": [{}, {"c": []}]}'], ['{"c": [1]}']],
  ])("%s", async (_name, schema, allowed, refused) => {
    const wrong: string[] = [];
    for (const text of allowed) if (!(await allows(schema, text))) wrong.push(`${text} should be allowed`);
    for (const text of refused) if (await allows(schema, text)) wrong.push(`${text} should be refused`);
    expect(wrong).toEqual([]);
  });
});

describe("schemas that cannot be kept to", () => {
  const unsupported = "unsupported_parameter";
  const invalid = "invalid_request";
  test.each<[schema: unknown, code: string, param: string]>([
    [{ properties: { x: { uniqueItems: true } } }, unsupported, "s.properties.x.uniqueItems"],
    [{ items: { not: {} } }, unsupported, "s.items.not"],
    [{ multipleOf: 2 }, unsupported, "s.multipleOf"],
    [{ format: "color" }, unsupported, "s.format"],
    [{ pattern: "(?=a)" }, unsupported, "s.pattern"],
    [{ pattern: "a", maxLength: 3 }, unsupported, "s.maxLength"],
    [{ enum: ["a"], minLength: 1 }, unsupported, "s.minLength"],
    [{ oneOf: [{ type: "string" }, { maxLength: 3 }] }, unsupported, "s.oneOf"],
    [{ properties: { a: NULL }, required: ["z"] }, unsupported, "s.required"],
    [{ $ref: "#/$defs/a", $defs: { a: NULL }, maxLength: 1 }, unsupported, "s.maxLength"],
    [{ type: "foo" }, invalid, "s.type"],
    [{ maxLength: -3 }, invalid, "s.maxLength"],
    [{ minLength: 3, maxLength: 1 }, invalid, "s.minLength"],
    [{ minimum: 3, maximum: 1 }, invalid, "s"],
    [{ type: "integer", exclusiveMinimum: 1, exclusiveMaximum: 2 }, invalid, "s"],
    [{ minItems: 3, prefixItems: [NULL], items: false }, invalid, "s.minItems"],
    [{ $ref: "#" }, invalid, "s.$ref"],
    [{ $ref: "#/x" }, invalid, "s.$ref"],
    [{ $ref: "other.json" }, invalid, "s.$ref"],
    [{ properties: { a: { $ref: "#" } }, required: ["a"] }, invalid, "s.properties.a.properties.a.$ref"],
    [{ enum: [] }, invalid, "s.enum"],
    [{ enum: ["a"], type: "integer" }, invalid, "s"],
    [false, invalid, "s"],
    [[], invalid, "s"],
  ])("%j", async (schema, code, param) => {
    await expect(begin(schema)).rejects.toMatchObject({ code, data: { param } });
    expect(grammars.isBroken).toBe(false);
  });
});
