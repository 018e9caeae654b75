import type { ToolFormat } from "../../protocol/messages";

/** How calls stand in a model's text. */
export interface CallSyntax {
  /** Each begins calls wherever it stands. */
  readonly openings: readonly string[];
  /** Ends calls that an opening began, if it is there. */
  readonly closing: string;
  /** With one of these characters at its beginning the whole text may be calls. */
  readonly bare: string;
  /** Tokens that are no text, wherever they stand. */
  readonly markers: readonly string[];
  /** Characters that may stand between calls. */
  readonly separators: string;
  /** Calls may also be written as the function's name with its arguments behind it. */
  readonly hasNameFirst: boolean;
}

const PLAIN: CallSyntax = { openings: [], closing: "", bare: "", markers: [], separators: ",", hasNameFirst: false };

export const CALL_SYNTAX: Readonly<Record<ToolFormat, CallSyntax>> = {
  hermes: { ...PLAIN, openings: ["<tool_call>"], closing: "</tool_call>" },
  llama3: {
    ...PLAIN,
    openings: ["<|python_tag|>"],
    bare: "{",
    markers: ["<|python_tag|>", "<|eom_id|>"],
    separators: ";,",
  },
  mistral: {
    ...PLAIN,
    openings: ["[TOOL_CALLS]"],
    markers: ["[TOOL_CALLS]", "[/TOOL_CALLS]", "[ARGS]", "[CALL_ID]"],
    hasNameFirst: true,
  },
  json: { ...PLAIN, openings: ["```json", "```tool_code", "```tool_call"], closing: "```", bare: "{[" },
};
