import { partialMatchLength } from "../../util/partial-match";

const BEGIN = "<think>";
const END = "</think>";

/** A piece of an answer: what was thought, and what is said. */
export interface ThoughtPiece {
  readonly reasoning: string;
  readonly said: string;
}

/**
 * Splits a text that comes in pieces into thoughts, `<think>` ... `</think>` at its beginning, and what is said behind them. Line
 * breaks next to the tags are neither. A text that ends within thoughts is nothing else.
 */
export class Thoughts {
  #state: "before" | "thinking" | "behind" | "said";
  /** Text that may be a part of a tag, or line breaks next to one. */
  #held = "";
  #hasThought = false;

  /** `isThinking`: the text begins within thoughts. */
  constructor(isThinking: boolean) {
    this.#state = isThinking ? "thinking" : "before";
  }

  get isThinking(): boolean {
    return this.#state === "thinking";
  }

  push(text: string): ThoughtPiece {
    this.#held += text;
    if (this.#state === "before") this.#findBegin();
    const reasoning = this.#state === "thinking" ? this.#think() : "";
    if (this.#state === "behind") this.#dropLineBreaks();
    return { reasoning, said: this.#state === "said" ? this.#take(this.#held.length) : "" };
  }

  /** What was held back. */
  end(): ThoughtPiece {
    const rest = this.#take(this.#held.length);
    return this.#state === "thinking"
      ? { reasoning: rest.replace(/\n+$/, ""), said: "" }
      : { reasoning: "", said: this.#state === "before" ? rest : "" };
  }

  #findBegin(): void {
    const text = this.#held.trimStart();
    if (text.startsWith(BEGIN)) {
      this.#state = "thinking";
      this.#held = text.slice(BEGIN.length);
    } else if (!BEGIN.startsWith(text)) this.#state = "said";
  }

  #think(): string {
    if (!this.#hasThought) this.#held = this.#held.replace(/^\n+/, "");
    const end = this.#held.indexOf(END);
    const upTo = end < 0 ? this.#held.length - partialMatchLength(this.#held, [END]) : end;
    const reasoning = this.#take(this.#held.slice(0, upTo).replace(/\n+$/, "").length);
    if (reasoning !== "") this.#hasThought = true;
    if (end >= 0) {
      this.#state = "behind";
      this.#held = this.#held.slice(this.#held.indexOf(END) + END.length);
    }
    return reasoning;
  }

  #dropLineBreaks(): void {
    this.#held = this.#held.replace(/^\n+/, "");
    if (this.#held !== "") this.#state = "said";
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }
}
