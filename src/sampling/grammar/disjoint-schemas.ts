import { isRecord } from "../../util/json";
import { jsonText } from "./json-text";

type Resolve = (ref: string) => unknown;

/** Whether no value can be of two of these schemas: by their types, their constants, or those of a property that each requires. */
export function areDisjoint(schemas: readonly unknown[], resolve: Resolve): boolean {
  const targets = schemas.map((schema) => follow(schema, resolve));
  return targets.every((a, i) => targets.slice(0, i).every((b) => excludes(a, b, resolve)));
}

function excludes(a: unknown, b: unknown, resolve: Resolve): boolean {
  if (!isRecord(a) || !isRecord(b)) return false;
  const [values, others] = [constantsOf(a), constantsOf(b)];
  if (values && others) return !values.some((value) => others.includes(value));
  const [types, otherTypes] = [typesOf(a), typesOf(b)];
  if (types && otherTypes && !types.some((type) => otherTypes.includes(type))) return true;
  const [required, otherRequired] = [listOf(a.required), listOf(b.required)];
  if (`${types}` !== "object" || `${otherTypes}` !== "object") return false;
  return required.some((name) => {
    if (!otherRequired.includes(name) || !isRecord(a.properties) || !isRecord(b.properties)) return false;
    return excludes(
      follow(a.properties[name as string], resolve),
      follow(b.properties[name as string], resolve),
      resolve,
    );
  });
}

/** Through refs; a ring of them ends nowhere. */
function follow(schema: unknown, resolve: Resolve): unknown {
  const seen = new Set<string>();
  let target = schema;
  while (isRecord(target) && typeof target.$ref === "string" && !seen.has(target.$ref)) {
    seen.add(target.$ref);
    target = resolve(target.$ref);
  }
  return target;
}

function constantsOf(schema: Record<string, unknown>): string[] | null {
  if (Object.hasOwn(schema, "const")) return [jsonText(schema.const)];
  return Array.isArray(schema.enum) ? schema.enum.map(jsonText) : null;
}

/** An integer is a number too. */
function typesOf({ type }: Record<string, unknown>): unknown[] | null {
  return type === undefined ? null : [type].flat().map((name) => (name === "integer" ? "number" : name));
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
