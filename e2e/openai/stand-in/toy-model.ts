/** A JSON Schema, as far as the toy goes. */
export interface ToySchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, ToySchema>>;
  readonly items?: ToySchema;
  readonly minItems?: number;
  readonly minimum?: number;
}

const WORDS = "the dog ran to a big tree and sat there with its small friend until it was dark".split(" ");
const DEFAULT_NUM_TOKENS = 24;

/** Words that the seed alone decides; as many as may be, up to `DEFAULT_NUM_TOKENS` where the caller does not say. */
export function toyTokens(seed: number, maxTokens: number | null): string[] {
  return Array.from({ length: maxTokens ?? DEFAULT_NUM_TOKENS }, (_, index) => {
    const word = WORDS[(seed * 31 + index * index * 7 + index * (seed + 1)) % WORDS.length];
    return index === 0 ? `${word}` : ` ${word}`;
  });
}

/** JSON text that keeps to the schema, in tokens of a few characters. */
export function toyJson(schema: ToySchema): string[] {
  return JSON.stringify(toyValue(schema)).match(/.{1,4}/gsu) ?? [];
}

function toyValue(schema: ToySchema): unknown {
  if (schema.enum) return schema.enum[0];
  switch (schema.type) {
    case "object": {
      const entries = Object.entries(schema.properties ?? {});
      return Object.fromEntries(entries.map(([name, value]) => [name, toyValue(value)]));
    }
    case "array":
      return Array.from({ length: schema.minItems ?? 1 }, () => toyValue(schema.items ?? {}));
    case "integer":
    case "number":
      return schema.minimum ?? 0;
    case "boolean":
      return true;
    case "null":
      return null;
    default:
      return "word";
  }
}

/** A word is a token. */
export function countTokens(text: string): number {
  return text.split(/\s+/).filter((word) => word !== "").length;
}

/** As a text's tokens: the first is likelier than all others, which are alike. */
export function toyLogprob(token: string, numTop: number) {
  const entry = (text: string, logprob: number) => ({ token: text, logprob, bytes: [...Buffer.from(text)] });
  const others = WORDS.filter((word) => ` ${word}` !== token).map((word) => entry(` ${word}`, -3));
  return { ...entry(token, -0.5), top_logprobs: [entry(token, -0.5), ...others].slice(0, numTop) };
}
