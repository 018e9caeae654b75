import type { ToolDefinition } from "../../protocol/messages";
import {
  aBoolean,
  anArray,
  anObject,
  aString,
  type Fields,
  invalid,
  oneOf,
  optional,
  refuseUnknown,
  unsupported,
} from "../checks";
import { aJsonObject, aName } from "./more-checks";

export interface ValidTools {
  readonly functions: readonly ValidFunction[];
  readonly choice: "auto" | "required" | { readonly name: string };
  /** More calls than one. */
  readonly isParallel: boolean;
}

export interface ValidFunction {
  readonly name: string;
  readonly description: string;
  readonly parameters: Fields;
  /** The path of `parameters`. */
  readonly param: string;
  readonly isStrict: boolean;
}

/**
 * The fields `tools`, `tool_choice` and `parallel_tool_calls`; null where the model is to call nothing: without tools, or with
 * `tool_choice: "none"`, for which it is not shown them.
 */
export function validateTools(body: Fields): ValidTools | null {
  const functions = optional(body, "tools", anArray)?.map(validateTool) ?? [];
  for (const [index, { name }] of functions.entries()) {
    if (functions.findIndex((other) => other.name === name) < index) {
      throw invalid(`tools[${index}].function.name`, "a name that no other tool has");
    }
  }
  if (functions.length === 0) {
    for (const field of ["tool_choice", "parallel_tool_calls"]) {
      if (body[field] !== undefined && body[field] !== null) throw invalid(field, "absent unless there are tools");
    }
    return null;
  }
  const choice = optional(body, "tool_choice", toolChoice) ?? "auto";
  const isParallel = optional(body, "parallel_tool_calls", aBoolean) ?? true;
  if (choice === "none") return null;
  if (typeof choice === "string") return { functions, choice, isParallel };
  if (!functions.some(({ name }) => name === choice.name)) {
    throw invalid("tool_choice.function.name", "the name of one of the tools");
  }
  return { functions, choice, isParallel: false };
}

/** As chat templates read them. */
export function toolDefinitions({ functions }: ValidTools): ToolDefinition[] {
  return functions.map(({ name, description, parameters }) => ({
    type: "function",
    function: { name, description, parameters },
  }));
}

function validateTool(value: unknown, index: number): ValidFunction {
  const path = `tools[${index}]`;
  const fn = functionOf(anObject(value, path), path, ["name", "description", "parameters", "strict"]);
  const own = `${path}.function.`;
  const param = `${own}parameters`;
  const parameters = optional(fn, "parameters", aJsonObject, own) ?? { type: "object", properties: {} };
  if (parameters.type !== "object") throw invalid(`${param}.type`, '"object"');
  return {
    name: aName(fn.name, `${own}name`),
    description: optional(fn, "description", aString, own) ?? "",
    parameters,
    param,
    isStrict: optional(fn, "strict", aBoolean, own) ?? false,
  };
}

function toolChoice(value: unknown, param: string): "auto" | "none" | "required" | { readonly name: string } {
  if (typeof value === "string") return oneOf("auto", "none", "required")(value, param);
  const fn = functionOf(anObject(value, param), param, ["name"]);
  return { name: aString(fn.name, `${param}.function.name`) };
}

/** The `function` of something of the type "function", with no other fields than `known`. */
export function functionOf(
  fields: Fields,
  path: string,
  known: readonly string[],
  ownKnown: readonly string[] = [],
): Fields {
  const type = aString(fields.type, `${path}.type`);
  if (type !== "function") throw unsupported(`${path}.type`, `Cairn knows functions only; ${path}.type is "${type}".`);
  refuseUnknown(fields, ["type", "function", ...ownKnown], `${path}.`);
  const fn = anObject(fields.function, `${path}.function`);
  refuseUnknown(fn, known, `${path}.function.`);
  return fn;
}
