import type { ToolFormat } from "../../protocol/messages";
import type { GrammarFormat } from "../../sampling/grammar";
import { unsupported } from "../checks";
import { type BoundFunction, CALL_TRIGGERS, callsGrammar, textWithCallsGrammar } from "./call-grammar";
import type { ValidTools } from "./validate-tools";

/** What an answer keeps to; empty where anything goes. */
export interface AnswerGrammars {
  readonly grammar?: GrammarFormat;
  /** Where it begins in thoughts. */
  readonly thinkingGrammar?: GrammarFormat;
}

/** Some JSON object. */
export const ANY_OBJECT: GrammarFormat = { type: "json_schema", json_schema: { type: "object" } };
/** What models write between their thoughts and the answer. */
const GAP: GrammarFormat = { type: "const_string", value: "\n\n" };

/**
 * Puts together what the request asks for: `json`, that of its response_format, and its tools. Thoughts may come first where the model
 * has any. Throws `unsupported_parameter` where tools and response_format, or a strict function, cannot be kept to in this tool format.
 */
export function answerGrammars(
  format: ToolFormat,
  tools: ValidTools | null,
  json: GrammarFormat | null,
  hasReasoning: boolean,
): AnswerGrammars {
  const grammar = tools ? toolsGrammar(format, tools, json) : json;
  if (!grammar) return {};
  if (!hasReasoning) return { grammar };
  const behindThoughts = (begin: string): GrammarFormat => ({
    type: "sequence",
    elements: [{ type: "tag", begin, content: { type: "any_text" }, end: "</think>" }, GAP, grammar],
  });
  return {
    grammar: { type: "or", elements: [grammar, behindThoughts("<think>")] },
    thinkingGrammar: behindThoughts(""),
  };
}

function toolsGrammar(format: ToolFormat, tools: ValidTools, json: GrammarFormat | null): GrammarFormat | null {
  const { choice, isParallel } = tools;
  if (choice !== "auto") return callsGrammar(format, calledFunctions(tools), !isParallel);
  if (json) {
    if (CALL_TRIGGERS[format] === null) {
      const message =
        "response_format cannot be kept to together with tools that this model may or may not call, because it writes calls as JSON, too; " +
        'set tool_choice to "none" or "required", or leave one of them out.';
      throw unsupported("response_format", message);
    }
    return { type: "or", elements: [json, callsGrammar(format, looseFunctions(tools), !isParallel)] };
  }
  const strict = tools.functions.findIndex(({ isStrict }) => isStrict);
  if (strict < 0) return null;
  const grammar = textWithCallsGrammar(format, looseFunctions(tools), !isParallel);
  if (grammar) return grammar;
  const message =
    "This model marks no beginning of calls in its text, so that a strict function can be kept to only where ";
  throw unsupported(`tools[${strict}].function.strict`, `${message}tool_choice is "required" or names it.`);
}

/** Those that `tool_choice` asks for, each with its schema. */
function calledFunctions({ functions, choice }: ValidTools): BoundFunction[] {
  return functions.filter(({ name }) => typeof choice === "string" || choice.name === name).map(bound);
}

/** All, with the schemas of the strict ones. */
function looseFunctions({ functions }: ValidTools): BoundFunction[] {
  return functions.map((fn) => (fn.isStrict ? bound(fn) : { name: fn.name, parameters: ANY_OBJECT }));
}

function bound({ name, parameters, param }: ValidTools["functions"][number]): BoundFunction {
  return { name, parameters: { type: "json_schema", json_schema: parameters, param } };
}
