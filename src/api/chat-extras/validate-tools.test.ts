import { describe, expect, it } from "vitest";
import { responseFormat } from "./response-format";
import { toolDefinitions, validateTools } from "./validate-tools";

const add = { type: "function", function: { name: "add" } };
const named = (name: unknown) => ({ type: "function", function: { name } });
const own = (fields: object) => ({ tools: [{ type: "function", function: { name: "add", ...fields } }] });
const refusal = (code: string, param: string) => expect.objectContaining({ code, data: { param } });

describe("validateTools", () => {
  it("reads functions and what may be called", () => {
    const schema = { type: "object", properties: { a: { type: "integer" } } };
    const full = { type: "function", function: { name: "a-B_1", description: "D.", parameters: schema, strict: true } };
    const tools = validateTools({ tools: [full, add] });
    expect(tools).toEqual({
      functions: [
        { name: "a-B_1", description: "D.", parameters: schema, param: "tools[0].function.parameters", isStrict: true },
        {
          name: "add",
          description: "",
          parameters: { type: "object", properties: {} },
          param: "tools[1].function.parameters",
          isStrict: false,
        },
      ],
      choice: "auto",
      isParallel: true,
    });
    expect(tools && toolDefinitions(tools)[0]).toEqual({
      type: "function",
      function: { name: "a-B_1", description: "D.", parameters: schema },
    });
  });

  it.each([
    [{ tool_choice: "auto" }, "auto", true],
    [{ tool_choice: null, parallel_tool_calls: null }, "auto", true],
    [{ tool_choice: "required", parallel_tool_calls: false }, "required", false],
    [{ tool_choice: named("add"), parallel_tool_calls: true }, { name: "add" }, false],
  ])("reads %j", (body, choice, isParallel) => {
    expect(validateTools({ tools: [add], ...body })).toMatchObject({ choice, isParallel });
  });

  it.each([[{}], [{ tools: null, tool_choice: null }], [{ tools: [] }], [{ tools: [add], tool_choice: "none" }]])(
    "shows the model none for %j",
    (body) => expect(validateTools(body)).toBeNull(),
  );

  it("takes schemas as JSON.stringify sends them", () => {
    const parameters = { type: "object", properties: undefined, default: new Date(0) };
    expect(validateTools(own({ parameters }))?.functions[0].parameters).toEqual({
      type: "object",
      default: "1970-01-01T00:00:00.000Z",
    });
  });

  const cyclic: Record<string, unknown> = { type: "object" };
  cyclic.properties = cyclic;

  it.each([
    [{ tools: {} }, "tools"],
    [{ tools: [add, 1] }, "tools[1]"],
    [{ tools: [{ function: { name: "add" } }] }, "tools[0].type"],
    [{ tools: [{ type: "function" }] }, "tools[0].function"],
    [own({ name: "" }), "tools[0].function.name"],
    [own({ name: "a b" }), "tools[0].function.name"],
    [own({ name: "a".repeat(65) }), "tools[0].function.name"],
    [{ tools: [add, add] }, "tools[1].function.name"],
    [own({ description: 1 }), "tools[0].function.description"],
    [own({ parameters: [] }), "tools[0].function.parameters"],
    [own({ parameters: { type: "array" } }), "tools[0].function.parameters.type"],
    [own({ parameters: {} }), "tools[0].function.parameters.type"],
    [own({ strict: "yes" }), "tools[0].function.strict"],
    [{ tool_choice: "auto" }, "tool_choice"],
    [{ tools: [], tool_choice: "none" }, "tool_choice"],
    [{ parallel_tool_calls: false }, "parallel_tool_calls"],
    [{ tools: [add], tool_choice: "any" }, "tool_choice"],
    [{ tools: [add], tool_choice: 1 }, "tool_choice"],
    [{ tools: [add], tool_choice: named("rm") }, "tool_choice.function.name"],
    [{ tools: [add], tool_choice: named(1) }, "tool_choice.function.name"],
    [{ tools: [add], parallel_tool_calls: 1 }, "parallel_tool_calls"],
  ])("refuses %j as invalid, naming %s", (body, param) => {
    expect(() => validateTools(body)).toThrow(refusal("invalid_request", param));
  });

  it("refuses a schema that holds itself", () => {
    const param = "tools[0].function.parameters";
    expect(() => validateTools(own({ parameters: cyclic }))).toThrow(refusal("invalid_request", param));
  });

  it.each([
    [{ tools: [{ type: "custom", custom: { name: "add" } }] }, "tools[0].type"],
    [{ tools: [{ ...add, strict: true }] }, "tools[0].strict"],
    [own({ returns: {} }), "tools[0].function.returns"],
    [{ tools: [add], tool_choice: { type: "allowed_tools", allowed_tools: {} } }, "tool_choice.type"],
    [{ tools: [add], tool_choice: { ...named("add"), mode: "auto" } }, "tool_choice.mode"],
  ])("refuses %j as unsupported, naming %s", (body, param) => {
    expect(() => validateTools(body)).toThrow(refusal("unsupported_parameter", param));
  });
});

describe("responseFormat", () => {
  const schema = { type: "object" };
  const format = (json_schema: unknown) => ({ type: "json_schema", json_schema });

  it("names the schema by its path", () => {
    const value = format({ name: "answer", description: "D.", schema, strict: false });
    expect(responseFormat(value, "response_format")).toEqual({
      type: "json_schema",
      json_schema: schema,
      param: "response_format.json_schema.schema",
    });
  });

  it.each([
    ["json_object", ""],
    [{}, ".type"],
    [{ type: "xml" }, ".type"],
    [format(null), ".json_schema"],
    [format({ schema }), ".json_schema.name"],
    [format({ name: "a.b", schema }), ".json_schema.name"],
    [format({ name: "a" }), ".json_schema.schema"],
    [format({ name: "a", schema: true }), ".json_schema.schema"],
    [format({ name: "a", schema, strict: 1 }), ".json_schema.strict"],
    [format({ name: "a", schema, description: 1 }), ".json_schema.description"],
  ])("refuses %j as invalid, naming %s", (value, path) => {
    expect(() => responseFormat(value, "response_format")).toThrow(
      refusal("invalid_request", `response_format${path}`),
    );
  });

  it.each([
    [{ type: "text", text: "" }, ".text"],
    [{ type: "json_object", json_schema: {} }, ".json_schema"],
    [format({ name: "a", schema, mode: 1 }), ".json_schema.mode"],
  ])("refuses %j as unsupported, naming %s", (value, path) => {
    const param = `response_format${path}`;
    expect(() => responseFormat(value, "response_format")).toThrow(refusal("unsupported_parameter", param));
  });
});
