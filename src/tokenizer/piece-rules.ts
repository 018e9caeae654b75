import { CairnError } from "../util/errors";
import { briefJson, briefValue, isRecord } from "../util/json";

/** The `decoder` of a tokenizer.json, brought to what it does to one token's text and to the start of the whole text. */
export interface PieceRules {
  /** Applied in order to each token's text. */
  readonly replacements: readonly Replacement[];
  /** How a token's text stands for bytes: every character is one, or pieces such as "<0xE2>" are, or none. */
  readonly byteEncoding: "byte-level" | "byte-fallback" | "none";
  /** Characters taken off the start of the whole text, if they are there. */
  readonly leadingStrip: { readonly char: string; readonly count: number };
}

export interface Replacement {
  readonly pattern: string | RegExp;
  readonly content: string;
}

const NO_STRIP = { char: " ", count: 0 } as const;

/** Throws `invalid_tokenizer` { file, field, value } for a decoder that cannot be run token by token. */
export function parsePieceRules(decoder: unknown): PieceRules {
  const rules = { replacements: [] as Replacement[], byteEncoding: "none" as PieceRules["byteEncoding"] };
  let leadingStrip: PieceRules["leadingStrip"] = NO_STRIP;
  let isFused = false;
  for (const step of flattenSteps(decoder)) {
    // Once tokens are fused, or are bytes, a rule would see more than one token: only the strip at the start is left.
    const isPieceStep = !isFused && rules.byteEncoding === "none";
    if (step.type === "Replace" && isPieceStep) rules.replacements.push(parseReplacement(step));
    else if (step.type === "Metaspace" && isPieceStep) {
      rules.replacements.push({ pattern: stringField(step, "replacement", "▁"), content: " " });
      leadingStrip = { char: " ", count: step.prepend_scheme === "never" ? 0 : 1 };
    } else if (step.type === "ByteLevel" && isPieceStep) rules.byteEncoding = "byte-level";
    else if (step.type === "ByteFallback" && isPieceStep) rules.byteEncoding = "byte-fallback";
    else if (step.type === "Fuse") isFused = true;
    else if (step.type === "Strip" && isFused && (step.stop ?? 0) === 0) leadingStrip = parseStrip(step);
    else throw unsupportedDecoder(step);
  }
  return { ...rules, leadingStrip };
}

type Step = Readonly<Record<string, unknown>>;

function flattenSteps(decoder: unknown): Step[] {
  if (!isRecord(decoder)) throw unsupportedDecoder(decoder);
  if (decoder.type !== "Sequence") return [decoder];
  if (!Array.isArray(decoder.decoders)) throw unsupportedDecoder(decoder);
  return decoder.decoders.flatMap(flattenSteps);
}

function parseReplacement(step: Step): Replacement {
  const pattern = isRecord(step.pattern) ? step.pattern : {};
  const content = stringField(step, "content", "");
  if (typeof pattern.String === "string") return { pattern: pattern.String, content };
  if (typeof pattern.Regex !== "string") throw unsupportedDecoder(step);
  try {
    return { pattern: new RegExp(pattern.Regex, "gu"), content };
  } catch {
    throw unsupportedDecoder(step);
  }
}

function parseStrip(step: Step): PieceRules["leadingStrip"] {
  const count = step.start ?? 0;
  if (typeof count !== "number" || !Number.isInteger(count) || count < 0) throw unsupportedDecoder(step);
  return { char: stringField(step, "content", " "), count };
}

function stringField(step: Step, field: string, fallback: string): string {
  const value = step[field] ?? fallback;
  if (typeof value !== "string") throw unsupportedDecoder(step);
  return value;
}

function unsupportedDecoder(value: unknown): CairnError {
  return new CairnError("invalid_tokenizer", `The decoder of tokenizer.json is not supported: ${briefJson(value)}.`, {
    file: "tokenizer.json",
    field: "decoder",
    value: briefValue(value),
  });
}
