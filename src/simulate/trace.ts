import { CairnError } from "../util/errors";
import { isRecord } from "../util/json";
import { ceilDiv } from "../util/math";

/** Tokens that a hash id of a trace stands for. */
export const TRACE_BLOCK_TOKENS = 512;

/** Output ids begin here, above all prompt ids: no output is ever mistaken for a prompt. */
const FIRST_OUTPUT_TOKEN_ID = 2 ** 30;

/** One request of a trace. Equal hash ids mean equal blocks behind equal prefixes. */
export interface TraceRequest {
  readonly timestampMs: number;
  readonly numPromptTokens: number;
  readonly numOutputTokens: number;
  /** One for each 512 prompt tokens; the last may stand for fewer. */
  readonly hashIds: readonly number[];
}

/**
 * Reads a trace in Mooncake's form: JSON lines with `timestamp` (ms, never going back), `input_length`, `output_length`
 * (tokens) and `hash_ids`. Throws `invalid_request` that names file, line and field where a line is anything else.
 */
export function parseTrace(text: string, file: string): TraceRequest[] {
  const requests: TraceRequest[] = [];
  text.split("\n").forEach((line, index) => {
    if (line.trim() === "") return;
    requests.push(parseLine(line, `${file}:${index + 1}`, requests.at(-1)?.timestampMs ?? 0));
  });
  return requests;
}

function parseLine(line: string, place: string, earliestMs: number): TraceRequest {
  const fields = parseJson(line);
  if (!isRecord(fields)) throw invalidLine(place, "line", "is no JSON object");
  const { timestamp, input_length, output_length, hash_ids } = fields;
  if (typeof timestamp !== "number" || !(timestamp >= earliestMs)) {
    throw invalidLine(place, "timestamp", `must be a number of at least ${earliestMs}, not ${show(timestamp)}`);
  }
  for (const [field, value] of Object.entries({ input_length, output_length })) {
    if (!isInteger(value, 1, Number.MAX_SAFE_INTEGER)) {
      throw invalidLine(place, field, `must be a positive integer, not ${show(value)}`);
    }
  }
  const numPromptTokens = Number(input_length);
  const numHashIds = ceilDiv(numPromptTokens, TRACE_BLOCK_TOKENS);
  if (!Array.isArray(hash_ids) || hash_ids.length !== numHashIds) {
    throw invalidLine(place, "hash_ids", `must be a list of ${numHashIds} ids for ${numPromptTokens} tokens`);
  }
  const wrong = hash_ids.findIndex((id) => !isInteger(id, 0, FIRST_OUTPUT_TOKEN_ID - 1));
  if (wrong >= 0) {
    throw invalidLine(
      place,
      `hash_ids[${wrong}]`,
      `must be an integer from 0 to 2^30 - 1, not ${show(hash_ids[wrong])}`,
    );
  }
  return { timestampMs: timestamp, numPromptTokens, numOutputTokens: Number(output_length), hashIds: hash_ids };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function isInteger(value: unknown, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
}

function show(value: unknown): string {
  return value === undefined ? "missing" : JSON.stringify(value);
}

function invalidLine(place: string, field: string, problem: string): CairnError {
  return new CairnError("invalid_request", `${place}: ${field} ${problem}`, { param: field, place });
}

/** A prompt whose 512-token blocks are equal exactly where the hash ids are: each block repeats its hash id. */
export function promptTokenIds({ numPromptTokens, hashIds }: TraceRequest): number[] {
  const ids = new Array<number>(numPromptTokens);
  for (let position = 0; position < numPromptTokens; position++) {
    ids[position] = hashIds[Math.floor(position / TRACE_BLOCK_TOKENS)];
  }
  return ids;
}

/** What the modelled executor samples for a request, always: an id of its own, so that no other request's output equals it. */
export function outputTokenId(requestIndex: number): number {
  return FIRST_OUTPUT_TOKEN_ID + requestIndex;
}
