import { isSpace, JsonValue } from "./json-value";

/** Under which names models write what they call with. */
const ARGUMENT_KEYS = ["arguments", "parameters"];

type Step = "open" | "key" | "inKey" | "colon" | "value" | "after";

/**
 * Reads one call that comes character by character: a JSON object with `name` and `arguments`, or, where the name is known already,
 * the arguments alone. Gives the arguments as they come: their JSON text as it stands, or what a string of it holds.
 */
export class CallReader {
  #step: Step;
  #value = new JsonValue();
  /** The text of the key or the name that is being read. */
  #text = "";
  #key: string | null = null;
  #name: string | null;
  #hasName: boolean;
  readonly #isBare: boolean;
  #arguments: "none" | "coming" | "whole" = "none";
  #taken = "";
  #escape = "";

  constructor(name: string | null = null) {
    this.#name = name;
    this.#hasName = name !== null;
    this.#isBare = this.#hasName;
    this.#key = this.#isBare ? "arguments" : null;
    this.#step = this.#isBare ? "value" : "open";
  }

  /** null until it is known. */
  get name(): string | null {
    return this.#name;
  }

  /** Anything of the arguments was read. */
  get hasArguments(): boolean {
    return this.#arguments !== "none";
  }

  /** "done": the call ends with this character. "broken": this character is no part of a call. */
  push(char: string): "more" | "done" | "broken" {
    switch (this.#step) {
      case "open":
        if (char !== "{") return isSpace(char) ? "more" : "broken";
        return this.#goTo("key");
      case "key":
        if (isSpace(char)) return "more";
        if (char === "}") return "done";
        if (char !== '"') return "broken";
        this.#beginValue();
        this.#goTo("inKey");
        return this.#readKey(char);
      case "inKey":
        return this.#readKey(char);
      case "colon":
        if (isSpace(char)) return "more";
        if (char !== ":") return "broken";
        this.#beginValue();
        return this.#goTo("value");
      case "value":
        return this.#readValue(char);
      case "after":
        if (isSpace(char)) return "more";
        if (char === "}") return "done";
        return char === "," ? this.#goTo("key") : "broken";
    }
  }

  /** What came of the arguments since the last time; never half a character. */
  take(): string {
    const isHalf = this.#arguments !== "whole" && /[\ud800-\udbff]$/.test(this.#taken);
    const taken = isHalf ? this.#taken.slice(0, -1) : this.#taken;
    this.#taken = this.#taken.slice(taken.length);
    return taken;
  }

  #goTo(step: Step): "more" {
    this.#step = step;
    return "more";
  }

  #beginValue(): void {
    this.#value = new JsonValue();
    this.#text = "";
  }

  #readKey(char: string): "more" | "broken" {
    this.#text += char;
    if (this.#value.push(char) !== "end") return "more";
    this.#key = parsedString(this.#text);
    return this.#key === null ? "broken" : this.#goTo("colon");
  }

  #readValue(char: string): "more" | "done" | "broken" {
    const isFirst = this.#value.kind === null;
    const step = this.#value.push(char);
    if (step === "broken") return "broken";
    const isOfArguments = ARGUMENT_KEYS.includes(this.#key ?? "") && this.#arguments !== "whole";
    if (step !== "ended" && this.#value.kind !== null) {
      this.#text += this.#key === "name" ? char : "";
      if (isOfArguments) this.#readArguments(char, isFirst || step === "end");
    }
    if (step === "more") return "more";
    if (isOfArguments) this.#arguments = "whole";
    if (this.#isBare) return "done";
    if (this.#key === "name" && !this.#hasName) {
      this.#name = parsedString(this.#text);
      this.#hasName = true;
      if (this.#name === null) return "broken";
    }
    this.#goTo("after");
    return step === "ended" ? this.push(char) : "more";
  }

  #readArguments(char: string, isOutermost: boolean): void {
    this.#arguments = "coming";
    if (this.#value.kind !== "string") this.#taken += char;
    else if (!isOutermost) this.#readStringChar(char);
  }

  #readStringChar(char: string): void {
    if (this.#escape === "" && char !== "\\") {
      this.#taken += char;
      return;
    }
    this.#escape += char;
    if (this.#escape.length < (this.#escape[1] === "u" ? 6 : 2)) return;
    this.#taken += parsedString(`"${this.#escape}"`) ?? this.#escape;
    this.#escape = "";
  }
}

/** null where the text is not that of a JSON string. */
function parsedString(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : null;
  } catch {
    return null;
  }
}
