import { CairnError } from "../../util/errors";
import { isRecord } from "../../util/json";
import { MAX_NUMBER_BOUND } from "./number-range";

export type JsonSchema = Readonly<Record<string, unknown>>;

export const TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;

/** Each character up to a bound is a state of its own, for which all tokens are looked at: more take seconds to compile. */
const MAX_LENGTH = 256;
const MAX_ITEMS = 1000;

type Check = (value: unknown) => string | null;

const isCountTo =
  (most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most
      ? null
      : `must be an integer from 0 to ${most}`;
const isLength = isCountTo(MAX_LENGTH);
const isCount = isCountTo(MAX_ITEMS);
const isBound: Check = (value) =>
  typeof value === "number" && Math.abs(value) <= MAX_NUMBER_BOUND
    ? null
    : `must be a number of at most ${MAX_NUMBER_BOUND}, either way`;
const isText: Check = (value) => (typeof value === "string" ? null : "must be a string");
const isSchema: Check = (value) => (isRecord(value) || typeof value === "boolean" ? null : "must be a schema");
const isObject: Check = (value) => (isRecord(value) ? null : "must be an object");
const isList: Check = (value) =>
  Array.isArray(value) && value.length > 0 ? null : "must be an array, not an empty one";
const isTexts: Check = (value) =>
  Array.isArray(value) && value.every((item) => typeof item === "string") ? null : "must be an array of strings";
const isTypeName: Check = (value) => ((TYPES as readonly unknown[]).includes(value) ? null : `must be one of ${TYPES}`);
const isType: Check = (value) =>
  Array.isArray(value) ? (isList(value) ?? value.map(isTypeName).find((wrong) => wrong) ?? null) : isTypeName(value);
const isAny: Check = () => null;
const isFalse: Check = (value) => (value === false ? null : "is not supported");

/** Say nothing about what is valid. */
export const ANNOTATIONS: readonly string[] = [
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "discriminator",
  "$schema",
  "$id",
  "$comment",
  "$defs",
  "definitions",
];

/** What says something about values of one kind only, and its check. */
export const KEYWORDS_BY_TYPE: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
  string: { minLength: isLength, maxLength: isLength, pattern: isText, format: isText },
  number: { minimum: isBound, maximum: isBound, exclusiveMinimum: isBound, exclusiveMaximum: isBound },
  array: { items: isSchema, prefixItems: isList, minItems: isCount, maxItems: isCount, uniqueItems: isFalse },
  object: { properties: isObject, required: isTexts, additionalProperties: isSchema },
};

/** All that are kept to. */
export const KEYWORDS: Readonly<Record<string, Check>> = {
  type: isType,
  enum: isList,
  const: isAny,
  $ref: isText,
  anyOf: isList,
  oneOf: isList,
  allOf: isList,
  ...Object.assign({}, ...Object.values(KEYWORDS_BY_TYPE)),
};

/** The keywords of a schema that say what is valid. Throws for one that is not enforced, and for a value of the wrong type. */
export function assertions(schema: JsonSchema, param: string): JsonSchema {
  const entries = Object.entries(schema).filter(([keyword]) => !ANNOTATIONS.includes(keyword));
  for (const [keyword, value] of entries) {
    const check = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : null;
    if (!check) throw unsupported(`${param}.${keyword}`, "is no keyword that Cairn can hold a text to");
    const wrong = check(value);
    if (wrong) throw (check === isFalse ? unsupported : invalid)(`${param}.${keyword}`, wrong);
  }
  return Object.fromEntries(entries);
}

export function invalid(param: string, what: string): CairnError {
  return new CairnError("invalid_request", `${param} ${what}.`, { param });
}

export function unsupported(param: string, what: string): CairnError {
  return new CairnError("unsupported_parameter", `${param} ${what}.`, { param });
}
