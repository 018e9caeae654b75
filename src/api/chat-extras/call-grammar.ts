import type { ToolFormat } from "../../protocol/messages";
import type { GrammarFormat, TagFormat } from "../../sampling/grammar";

/** A function whose calls are to be kept to a schema. */
export interface BoundFunction {
  readonly name: string;
  readonly parameters: GrammarFormat;
}

/** How a model's calls are written, for a grammar: tags of whole calls, or of lists of calls. */
interface CallTags {
  readonly tags: readonly TagFormat[];
  /** Between two; null where one tag holds all. */
  readonly separator: string | null;
}

/** Calls and nothing else: one, or one or more. */
export function callsGrammar(format: ToolFormat, functions: readonly BoundFunction[], isOne: boolean): GrammarFormat {
  const { tags, separator } = callTags(format, functions, isOne);
  return {
    type: "tags_with_separator",
    tags,
    separator: separator ?? "",
    at_least_one: true,
    stop_after_first: isOne || separator === null,
  };
}

/** Any text, and calls in it; null where nothing in such a text marks where a call begins. */
export function textWithCallsGrammar(
  format: ToolFormat,
  functions: readonly BoundFunction[],
  isOne: boolean,
): GrammarFormat | null {
  const trigger = CALL_TRIGGERS[format];
  if (trigger === null) return null;
  return {
    type: "triggered_tags",
    triggers: [trigger],
    tags: callTags(format, functions, isOne).tags,
    at_least_one: false,
    stop_after_first: isOne,
  };
}

/** What tells a call from text, by what it begins with. */
export const CALL_TRIGGERS: Readonly<Record<ToolFormat, string | null>> = {
  hermes: "<tool_call>",
  llama3: null,
  mistral: "[TOOL_CALLS]",
  json: null,
};

function callTags(format: ToolFormat, functions: readonly BoundFunction[], isOne: boolean): CallTags {
  switch (format) {
    case "hermes":
      return { tags: jsonCalls(functions, "arguments", "<tool_call>\n", "\n</tool_call>"), separator: "\n" };
    case "llama3":
      return { tags: jsonCalls(functions, "parameters"), separator: "; " };
    case "mistral": {
      const calls = jsonCalls(functions, "arguments");
      const lists = ["[TOOL_CALLS][", "[TOOL_CALLS] ["].map((begin) => list(begin, calls, isOne));
      const named = functions.map(({ name, parameters }) => tag(`[TOOL_CALLS]${name}[ARGS]`, parameters, ""));
      return { tags: [...lists, ...named], separator: "" };
    }
    case "json": {
      const calls = jsonCalls(functions, "parameters");
      return { tags: isOne ? calls : [...calls, list("[", calls, false)], separator: null };
    }
  }
}

function jsonCalls(functions: readonly BoundFunction[], key: string, begin = "", end = ""): TagFormat[] {
  return functions.map(({ name, parameters }) => tag(`${begin}{"name": "${name}", "${key}": `, parameters, `}${end}`));
}

function list(begin: string, tags: readonly TagFormat[], isOne: boolean): TagFormat {
  const content = {
    type: "tags_with_separator",
    tags,
    separator: ", ",
    at_least_one: true,
    stop_after_first: isOne,
  } as const;
  return tag(begin, content, "]");
}

function tag(begin: string, content: GrammarFormat, end: string): TagFormat {
  return { type: "tag", begin, content, end };
}
