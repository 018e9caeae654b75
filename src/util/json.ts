/** A JSON object: neither null nor an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const MAX_DATA_CHARS = 1000;
const TOO_DEEP = "(nested too deeply)";

/** The JSON text of a value for an error's message, cut. Takes whatever JSON.parse gives, however deep. */
export function briefJson(value: unknown, maxChars = 80): string {
  try {
    return (JSON.stringify(value) ?? "null").slice(0, maxChars);
  } catch {
    return TOO_DEEP;
  }
}

/** A value for an error's data: itself where it is small, else what briefJson tells of it. Deep values cross no thread. */
export function briefValue(value: unknown): unknown {
  const text = briefJson(value, MAX_DATA_CHARS);
  return text.length < MAX_DATA_CHARS && text !== TOO_DEEP ? value : text;
}
