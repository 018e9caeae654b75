import type { ToolCallDelta } from "../openai-types";

/** A piece of an answer: text, and calls or more of their arguments. */
export interface CallPiece {
  readonly content: string;
  readonly calls: readonly ToolCallDelta[];
}

export interface CallPieceOptions {
  /** False: calls behind the first are dropped. */
  readonly isParallel: boolean;
  readonly newId: () => string;
}

/** Collects what is read between two pieces. Space before a call is dropped, so space waits for what comes behind it. */
export class CallPieces {
  readonly #options: CallPieceOptions;
  #content = "";
  #calls: ToolCallDelta[] = [];
  #space = "";
  #hasText = false;
  #numCalls = 0;

  constructor(options: CallPieceOptions) {
    this.#options = options;
  }

  /** Something that is no space was said. */
  get hasText(): boolean {
    return this.#hasText;
  }

  /** Calls so far, dropped ones among them. */
  get numCalls(): number {
    return this.#numCalls;
  }

  say(text: string): void {
    const all = this.#space + text;
    const said = all.trimEnd();
    if (said !== "") this.#hasText = true;
    this.#content += said;
    this.#space = all.slice(said.length);
  }

  beginCall(name: string): void {
    this.#space = "";
    const index = this.#numCalls++;
    if (!this.#isShown()) return;
    this.#calls.push({ index, id: this.#options.newId(), type: "function", function: { name, arguments: "" } });
  }

  /** Of the last call. */
  addArguments(text: string): void {
    if (text === "" || !this.#isShown()) return;
    const index = this.#numCalls - 1;
    const last = this.#calls.at(-1);
    if (last?.index !== index) this.#calls.push({ index, function: { arguments: text } });
    else {
      const { arguments: before = "", ...fields } = last.function;
      this.#calls[this.#calls.length - 1] = { ...last, function: { ...fields, arguments: before + text } };
    }
  }

  /** The text ends: space at its end is content where there were no calls. */
  end(): void {
    if (this.#numCalls === 0) this.#content += this.#space;
    this.#space = "";
  }

  /** What came since the last time. */
  take(): CallPiece {
    const piece = { content: this.#content, calls: this.#calls };
    this.#content = "";
    this.#calls = [];
    return piece;
  }

  #isShown(): boolean {
    return this.#options.isParallel || this.#numCalls === 1;
  }
}
