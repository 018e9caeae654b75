import type { ToolFormat } from "../../protocol/messages";
import type { GrammarFormat, TagFormat } from "../../sampling/grammar";

/** A function whose calls are to be kept to a schema. */
export interface BoundFunction {
  readonly name: string;
  readonly parameters: GrammarFormat;
}

/** What tells calls from text, by what they begin with; null where nothing does. */
export const CALL_TRIGGERS: Readonly<Record<ToolFormat, string | null>> = {
  hermes: "<tool_call>",
  llama3: null,
  mistral: "[TOOL_CALLS]",
  json: null,
};

/** Calls and nothing else: one, or one or more. */
export function callsGrammar(format: ToolFormat, functions: readonly BoundFunction[], isOne: boolean): GrammarFormat {
  if (format === "llama3") return separated(jsonCalls(functions, "parameters"), "; ", isOne);
  const [first, ...others] = callTags(format, functions, isOne);
  return others.length === 0 ? first : { type: "or", elements: [first, ...others] };
}

/** Any text, and calls in it; null where nothing in such a text tells where a call begins. */
export function textWithCallsGrammar(
  format: ToolFormat,
  functions: readonly BoundFunction[],
  isOne: boolean,
): GrammarFormat | null {
  const trigger = CALL_TRIGGERS[format];
  if (format === "llama3" || trigger === null) return null;
  const tags = callTags(format, functions, isOne);
  return { type: "triggered_tags", triggers: [trigger], tags, at_least_one: false, stop_after_first: isOne };
}

/**
 * Tags of a call, or of several: XGrammar takes formats without an end, as `tags_with_separator` is one, beside others only within a
 * tag that has one. In Mistral's newer format, the name before the arguments, there is therefore one call.
 */
function callTags(
  format: Exclude<ToolFormat, "llama3">,
  functions: readonly BoundFunction[],
  isOne: boolean,
): TagFormat[] {
  switch (format) {
    case "hermes": {
      const [begin, end] = ["<tool_call>\n", "\n</tool_call>"];
      return [tag(begin, separated(jsonCalls(functions, "arguments"), `${end}\n${begin}`, isOne), end)];
    }
    case "mistral": {
      const calls = separated(jsonCalls(functions, "arguments"), ", ", isOne);
      const lists = ["[TOOL_CALLS][", "[TOOL_CALLS] ["].map((begin) => tag(begin, calls, "]"));
      return [...lists, ...functions.map(({ name, parameters }) => tag(`[TOOL_CALLS]${name}[ARGS]`, parameters, ""))];
    }
    case "json": {
      const calls = jsonCalls(functions, "parameters");
      return isOne ? calls : [...calls, tag("[", separated(calls, ", ", false), "]")];
    }
  }
}

function jsonCalls(functions: readonly BoundFunction[], key: string): TagFormat[] {
  return functions.map(({ name, parameters }) => tag(`{"name": "${name}", "${key}": `, parameters, "}"));
}

function separated(tags: readonly TagFormat[], separator: string, isOne: boolean): GrammarFormat {
  return { type: "tags_with_separator", tags, separator, at_least_one: true, stop_after_first: isOne };
}

function tag(begin: string, content: GrammarFormat, end: string): TagFormat {
  return { type: "tag", begin, content, end };
}
