import { ebnfSet, ebnfText, PLAIN } from "./code-points";

/** JSON as a grammar writes it: on one line, a space behind each comma and colon. */
export const COMMA = ebnfText(", ");
export const COLON = ebnfText(": ");
export const QUOTE = ebnfText('"');

/** One character of a string that stands there as it is. */
export const PLAIN_CHAR = ebnfSet(PLAIN).text;

/**
 * Rules for any JSON. An escaped character is one that JSON.parse takes for one: no half of a surrogate pair. Numbers have an end,
 * and are finite.
 */
export const JSON_RULES: Readonly<Record<string, string>> = {
  json_value: 'json_object | json_array | json_string | json_number | "true" | "false" | "null"',
  json_object: `"{" (json_pair (${COMMA} json_pair)*)? "}"`,
  json_pair: `json_string ${COLON} json_value`,
  json_array: `"[" (json_value (${COMMA} json_value)*)? "]"`,
  // Of all ways to write this one has masks that need not be computed anew for each character.
  json_string: `${QUOTE} json_rest`,
  json_rest: `${QUOTE} | ${PLAIN_CHAR} json_rest | json_escape json_rest`,
  json_escape: `"\\\\" (["\\\\/bfnrt] | "u" ([0-9A-CE-Fa-ce-f] [0-9A-Fa-f]{3} | [Dd] [0-7] [0-9A-Fa-f]{2}))`,
  json_integer: '"0" | "-"? [1-9] [0-9]{0,15}',
  json_number: '"-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [+-]? [0-9]{1,2})?',
};

/** The text of a JSON value as a grammar writes it. */
export function jsonText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonText).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value).map(([key, field]) => `${JSON.stringify(key)}: ${jsonText(field)}`);
  return `{${pairs.join(", ")}}`;
}

/** The type of a JSON value as schemas call it; of integers "integer". */
export function jsonTypeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}
