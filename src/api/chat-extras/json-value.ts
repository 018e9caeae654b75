/** What became of a character: more is to come, the value ends with it, it ended before it, or this is no JSON value. */
export type ValueStep = "more" | "end" | "ended" | "broken";

/**
 * Finds the end of a JSON value that comes character by character, space before it included. Of what is inside only strings and
 * brackets are looked at.
 */
export class JsonValue {
  #kind: "string" | "nested" | "scalar" | null = null;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  /** null before it begins. */
  get kind() {
    return this.#kind;
  }

  push(char: string): ValueStep {
    if (this.#kind === null) return this.#begin(char);
    if (this.#kind === "scalar") return /[\w.+-]/.test(char) ? "more" : "ended";
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (char === "\\") this.#isEscaped = true;
      else if (char === '"') this.#isInString = false;
    } else if (char === '"') this.#isInString = true;
    else if (char === "{" || char === "[") this.#depth++;
    else if (char === "}" || char === "]") this.#depth--;
    return this.#depth === 0 && !this.#isInString ? "end" : "more";
  }

  #begin(char: string): ValueStep {
    if (isSpace(char)) return "more";
    if (char === '"') {
      this.#kind = "string";
      this.#isInString = true;
    } else if (char === "{" || char === "[") {
      this.#kind = "nested";
      this.#depth = 1;
    } else if (/[\w-]/.test(char)) this.#kind = "scalar";
    else return "broken";
    return "more";
  }
}

/** As JSON knows space. */
export function isSpace(char: string): boolean {
  return char === " " || char === "\n" || char === "\t" || char === "\r";
}
