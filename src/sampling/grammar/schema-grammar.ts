import { isRecord } from "../../util/json";
import { assertions, invalid, type JsonSchema, KEYWORDS_BY_TYPE, TYPES, unsupported } from "./check-keywords";
import { ebnfText } from "./code-points";
import { areDisjoint } from "./disjoint-schemas";
import { FORMATS } from "./formats";
import { COLON, COMMA, JSON_RULES, jsonText, jsonTypeOf, PLAIN_CHAR, QUOTE } from "./json-text";
import { type Bound, numberGrammar } from "./number-range";
import { otherKeys } from "./other-keys";
import { PatternError, patternGrammar } from "./pattern";
import { resolvePointer } from "./resolve-pointer";

/** Where in a schema the walk is. */
interface Place {
  /** For messages. */
  readonly param: string;
  /** Refs that lead here with not a character between: one of them again would never end. */
  readonly open: ReadonlySet<string>;
  /** Refs that every text from there to here goes through: one of them again would have no end. */
  readonly needed: ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

/**
 * A JSON schema as EBNF: every text of the grammar is JSON that the schema allows; of equal values it has one text. It leaves out what a
 * schema allows and nobody asks for: properties beyond the named ones unless `additionalProperties` says so, another order of
 * properties, fewer items than `prefixItems`. `param` names the schema in messages. Throws `unsupported_parameter` { param } for a
 * keyword that is not enforced, `invalid_request` { param } for a schema that is wrong or allows nothing.
 */
export function schemaGrammar(schema: unknown, param: string): string {
  return new SchemaGrammar(schema, param).text;
}

class SchemaGrammar {
  readonly text: string;
  readonly #root: unknown;
  readonly #rules = new Map<string, string>();
  /** Names of rules by ref. */
  readonly #refs = new Map<string, string>();

  constructor(schema: unknown, param: string) {
    this.#root = schema;
    const root = this.#schema(schema, { param, open: NONE, needed: NONE });
    const rules = { root, ...Object.fromEntries(this.#rules), ...JSON_RULES };
    this.text = Object.entries(rules)
      .map(([name, body]) => `${name} ::= ${body}`)
      .join("\n");
  }

  /** An expression, to be put into brackets where something stands beside it. */
  #schema(schema: unknown, place: Place): string {
    const { param } = place;
    if (schema === true) return "json_value";
    if (schema === false) throw invalid(param, "allows nothing");
    if (!isRecord(schema)) throw invalid(param, "must be a schema: an object, or true");
    const said = assertions(schema, param);
    for (const keyword of ["$ref", "anyOf", "oneOf", "allOf"] as const) {
      if (!(keyword in said)) continue;
      const { [keyword]: value, ...rest } = said;
      if (keyword === "$ref") return this.#ref(value as string, rest, place);
      return this.#combined(keyword, value as unknown[], rest, place);
    }
    if ("enum" in said || "const" in said) return this.#values(said, param);
    return this.#types(said, place);
  }

  #ref(ref: string, rest: JsonSchema, place: Place): string {
    const param = `${place.param}.$ref`;
    const [beside] = Object.keys(rest);
    if (beside) throw unsupported(`${place.param}.${beside}`, "stands beside $ref, which Cairn does not support");
    if (place.open.has(ref)) throw invalid(param, `leads back to ${ref} with nothing between`);
    if (place.needed.has(ref)) throw invalid(param, `makes ${ref} a part of itself: no text could end`);
    const known = this.#refs.get(ref);
    if (known) return known;
    const name = this.#newName();
    this.#refs.set(ref, name);
    const target = resolvePointer(this.#root, ref, param);
    const inside = { param: place.param, open: with_(place.open, ref), needed: with_(place.needed, ref) };
    this.#rules.set(name, this.#schema(target, inside));
    return name;
  }

  #combined(
    keyword: "anyOf" | "oneOf" | "allOf",
    branches: readonly unknown[],
    rest: JsonSchema,
    place: Place,
  ): string {
    const merge = (parts: readonly unknown[], at: string) => mergeSchemas([rest, ...parts], at);
    const param = `${place.param}.${keyword}`;
    if (keyword === "allOf") return this.#schema(merge(branches, param), { ...place, param });
    if (keyword === "oneOf" && !areDisjoint(branches, (ref) => resolvePointer(this.#root, ref, param))) {
      throw unsupported(
        param,
        "has branches that a value may be of at once; use anyOf, or give each a constant of its own",
      );
    }
    const needed = branches.length > 1 ? NONE : place.needed;
    return branches
      .map((branch, i) =>
        this.#schema(merge([branch], `${param}[${i}]`), { ...place, needed, param: `${param}[${i}]` }),
      )
      .map((text) => `(${text})`)
      .join(" | ");
  }

  #values({ enum: values, const: constant, type, ...rest }: JsonSchema, param: string): string {
    const [beside] = Object.keys(rest);
    if (beside) throw unsupported(`${param}.${beside}`, "stands beside enum or const, which Cairn does not support");
    const listed = (values ?? [constant]) as unknown[];
    const all = constant === undefined ? listed : listed.filter((value) => jsonText(value) === jsonText(constant));
    const types: readonly unknown[] = type === undefined ? TYPES : [type].flat();
    const allowed = all.filter((value) => {
      const own = jsonTypeOf(value);
      return types.includes(own) || (own === "integer" && types.includes("number"));
    });
    if (allowed.length === 0) throw invalid(param, "has no value that it allows");
    return allowed.map((value) => ebnfText(jsonText(value))).join(" | ");
  }

  #types(said: JsonSchema, place: Place): string {
    const types = said.type === undefined ? impliedTypes(said) : ([said.type].flat() as string[]);
    if (types.length === 0) return "json_value";
    const inside = types.length > 1 ? { ...place, needed: NONE } : place;
    const texts = types.map((type) => this.#type(type, said, inside));
    return texts.length === 1 ? texts[0] : texts.map((text) => `(${text})`).join(" | ");
  }

  #type(type: string, said: JsonSchema, place: Place): string {
    switch (type) {
      case "null":
        return '"null"';
      case "boolean":
        return '"true" | "false"';
      case "string":
        return this.#string(said, place.param);
      case "array":
        return this.#array(said, place);
      case "object":
        return this.#object(said, place);
      default:
        return this.#number(said, type === "integer", place.param);
    }
  }

  #string({ minLength = 0, maxLength, pattern, format }: JsonSchema, param: string): string {
    if (pattern === undefined && format === undefined) {
      if (minLength === 0 && maxLength === undefined) return "json_string";
      const least = minLength as number;
      if (least > ((maxLength as number) ?? least)) throw invalid(`${param}.minLength`, "is over maxLength");
      return `${QUOTE} ${PLAIN_CHAR}{${least},${maxLength ?? ""}} ${QUOTE}`;
    }
    const keyword = pattern === undefined ? "format" : "pattern";
    const [beside] = [minLength !== 0 && "minLength", maxLength !== undefined && "maxLength"].filter(Boolean);
    if (beside) throw unsupported(`${param}.${beside}`, `stands beside ${keyword}, which Cairn does not support`);
    if (pattern !== undefined && format !== undefined) {
      throw unsupported(`${param}.format`, "stands beside pattern, which Cairn does not support");
    }
    const expression = pattern ?? (Object.hasOwn(FORMATS, format as string) ? FORMATS[format as string] : undefined);
    if (expression === undefined) throw unsupported(`${param}.format`, `is none of ${Object.keys(FORMATS).join(", ")}`);
    try {
      return `${QUOTE} (${patternGrammar(expression as string, `${PLAIN_CHAR}*`)}) ${QUOTE}`;
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      throw unsupported(`${param}.${keyword}`, `${error.message}, which Cairn does not support`);
    }
  }

  #number(said: JsonSchema, isInteger: boolean, param: string): string {
    const bounds = Object.keys(KEYWORDS_BY_TYPE.number).some((keyword) => keyword in said);
    if (!bounds) return isInteger ? "json_integer" : "json_number";
    const min = stricter(said.minimum, said.exclusiveMinimum, (a, b) => a > b);
    const max = stricter(said.maximum, said.exclusiveMaximum, (a, b) => a < b);
    const text = numberGrammar({ min, max }, isInteger);
    if (text === null) throw invalid(param, "has bounds that no number is within");
    return text;
  }

  #array({ prefixItems = [], items = true, minItems = 0, maxItems }: JsonSchema, place: Place): string {
    const prefix = prefixItems as unknown[];
    const numAllowed = items === false ? prefix.length : Number.POSITIVE_INFINITY;
    const most = Math.min((maxItems as number | undefined) ?? numAllowed, numAllowed);
    const least = Math.max(minItems as number, Math.min(prefix.length, most));
    if (least > most) throw invalid(`${place.param}.minItems`, "is more than there may be");
    const texts = prefix.slice(0, most).map((schema, i) => {
      const param = `${place.param}.prefixItems[${i}]`;
      return `(${this.#schema(schema, { ...place, open: NONE, param })})`;
    });
    const [numLeast, numMost] = [least - texts.length, most - texts.length];
    if (numMost === 0) return `"[" ${texts.join(` ${COMMA} `)} "]"`;
    const needed = numLeast > 0 ? place.needed : NONE;
    const item = this.#newRule(this.#schema(items, { param: `${place.param}.items`, open: NONE, needed }));
    const more = (min: number, max: number) =>
      `(${COMMA} ${item}){${Math.max(0, min)},${Number.isFinite(max) ? max : ""}}`;
    if (texts.length > 0) return `"[" ${texts.join(` ${COMMA} `)} ${more(numLeast, numMost)} "]"`;
    const some = `${item} ${more(numLeast - 1, numMost - 1)}`;
    return numLeast > 0 ? `"[" ${some} "]"` : `"[" (${some})? "]"`;
  }

  #object(said: JsonSchema, place: Place): string {
    const properties = (said.properties ?? {}) as JsonSchema;
    const required = (said.required ?? []) as readonly string[];
    const names = Object.keys(properties);
    const missing = required.find((name) => !names.includes(name));
    if (missing !== undefined)
      throw unsupported(`${place.param}.required`, `has ${missing}, which is not in properties`);
    const hasMore = said.additionalProperties ?? names.length === 0;
    const more = hasMore === false ? null : this.#otherPair(names, hasMore, place);
    const members = names.map((name) => {
      const isRequired = required.includes(name);
      const needed = isRequired ? place.needed : NONE;
      const inside = { param: `${place.param}.properties.${name}`, open: NONE, needed };
      const text = `${ebnfText(JSON.stringify(name))} ${COLON} (${this.#schema(properties[name], inside)})`;
      return { pair: this.#newRule(text), isRequired };
    });
    return `"{" ${this.#members(members, more)} "}"`;
  }

  /** Members in their order, each with the comma before it where something stands there. */
  #members(members: readonly { readonly pair: string; readonly isRequired: boolean }[], more: string | null): string {
    let behind = more ? `(${COMMA} ${more})*` : '""';
    let first = more ? `(${more} ${behind})?` : '""';
    for (const { pair, isRequired } of members.toReversed()) {
      const rest = this.#newRule(behind);
      behind = isRequired ? `${COMMA} ${pair} ${rest}` : `(${COMMA} ${pair})? ${rest}`;
      first = isRequired ? `${pair} ${rest}` : `${pair} ${rest} | ${this.#newRule(first)}`;
    }
    return `(${first})`;
  }

  #otherPair(names: readonly string[], schema: unknown, place: Place): string {
    const inside = { param: `${place.param}.additionalProperties`, open: NONE, needed: NONE };
    const key = names.length > 0 ? otherKeys(names, (body) => this.#newRule(body)) : `${PLAIN_CHAR}*`;
    return this.#newRule(`${QUOTE} ${key} ${QUOTE} ${COLON} (${this.#schema(schema, inside)})`);
  }

  #newRule(body: string): string {
    const name = this.#newName();
    this.#rules.set(name, body);
    return name;
  }

  #newName(): string {
    const name = `r${this.#rules.size}`;
    this.#rules.set(name, "");
    return name;
  }
}

function with_(set: ReadonlySet<string>, item: string): ReadonlySet<string> {
  return new Set([...set, item]);
}

/** The types that the keywords are about; none where there are no keywords. */
function impliedTypes(said: JsonSchema): string[] {
  return Object.entries(KEYWORDS_BY_TYPE).flatMap(([type, keywords]) =>
    Object.keys(keywords).some((keyword) => keyword in said) ? [type] : [],
  );
}

function stricter(inclusive: unknown, exclusive: unknown, isStricter: (a: number, b: number) => boolean): Bound | null {
  const isExclusive =
    exclusive !== undefined && (inclusive === undefined || !isStricter(inclusive as number, exclusive as number));
  const value = isExclusive ? exclusive : inclusive;
  return value === undefined ? null : { value: value as number, isExclusive };
}

/** What all of these say; a keyword may be in two of them only if they agree. */
function mergeSchemas(schemas: readonly unknown[], param: string): JsonSchema {
  const merged: Record<string, unknown> = {};
  for (const schema of schemas) {
    if (schema === true) continue;
    if (!isRecord(schema)) throw invalid(param, "must be a schema that allows something");
    for (const [keyword, value] of Object.entries(schema)) {
      const isNew = !Object.hasOwn(merged, keyword) || ["title", "description"].includes(keyword);
      if (!isNew && jsonText(merged[keyword]) !== jsonText(value)) {
        throw unsupported(`${param}.${keyword}`, "is also said beside it, which Cairn does not support");
      }
      merged[keyword] = value;
    }
  }
  return merged;
}
