import type { Random } from "./random";

type Schema = Record<string, unknown>;

/** A schema of what Cairn holds texts to, whose longest text is short: some 60 characters. */
export function randomSchema(random: Random): Schema {
  const schema = valueSchema(random, 2);
  if (random.int(0, 5) > 0) return schema;
  return { $ref: "#/$defs/part", $defs: { part: schema } };
}

function valueSchema(random: Random, depth: number): Schema {
  const leaves = [stringSchema, integerSchema, depth === 2 ? numberSchema : integerSchema, enumSchema, simpleSchema];
  const nodes = [objectSchema, objectSchema, arraySchema, anyOfSchema];
  const makers = depth > 0 && random.int(0, 3) > 0 ? nodes : leaves;
  return makers[random.int(0, makers.length)](random, depth);
}

function stringSchema(random: Random): Schema {
  switch (random.int(0, 4)) {
    case 0:
      return { type: "string", pattern: ["^[a-c]{1,3}$", "^(x|yy)-\\d$", "^\\w{2}$", '^["\\\\]$'][random.int(0, 4)] };
    case 1:
      return { type: "string", minLength: 1, maxLength: random.int(1, 5) };
    case 2:
      return { type: ["string", "null"], maxLength: 4 };
    default:
      return { type: "string", maxLength: random.int(0, 5) };
  }
}

function integerSchema(random: Random): Schema {
  const minimum = random.int(-300, 300);
  const maximum = minimum + random.int(0, 500);
  return random.int(0, 2)
    ? { type: "integer", minimum, maximum }
    : { type: "integer", exclusiveMinimum: minimum, maximum: maximum + 1 };
}

/** Only as a whole text: the point and what is behind it have up to 17 characters. */
function numberSchema(random: Random): Schema {
  const minimum = random.int(-40, 40) / 8;
  return { type: "number", minimum, exclusiveMaximum: minimum + random.int(1, 9) / 4 };
}

function enumSchema(random: Random): Schema {
  const values = ["red", 'a "b"', "é", 1, -2.5, null, true, [1, 2], { a: "b" }];
  const first = random.int(0, values.length);
  return random.int(0, 3) === 0 ? { const: values[first] } : { enum: values.slice(first, first + 3) };
}

function simpleSchema(random: Random): Schema {
  return { type: random.int(0, 2) ? "boolean" : "null" };
}

function objectSchema(random: Random, depth: number): Schema {
  const names = ["a", "bc", "a b", 'q"'].slice(random.int(0, 3), 4).slice(0, depth);
  const properties = Object.fromEntries(names.map((name) => [name, valueSchema(random, depth - 1)]));
  const required = names.filter(() => random.int(0, 2) > 0);
  return { type: "object", properties, required, ...(random.int(0, 2) ? { additionalProperties: false } : {}) };
}

function arraySchema(random: Random, depth: number): Schema {
  const minItems = random.int(0, 2);
  if (random.int(0, 4) === 0) {
    return { type: "array", prefixItems: [valueSchema(random, 0), valueSchema(random, 0)], items: false, minItems: 2 };
  }
  return { type: "array", items: valueSchema(random, depth - 1), minItems, maxItems: minItems + random.int(0, 2) };
}

function anyOfSchema(random: Random, depth: number): Schema {
  return { anyOf: [valueSchema(random, depth - 1), valueSchema(random, 0)], title: "either" };
}
