import { partialMatchLength } from "../../util/partial-match";
import { type CallPiece, type CallPieceOptions, CallPieces } from "./call-pieces";
import { CallReader } from "./call-reader";
import type { CallSyntax } from "./call-syntax";
import { isSpace } from "./json-value";

export interface ToolCallOptions extends CallPieceOptions {
  readonly syntax: CallSyntax;
  /** Of the functions that may be called; what calls another is text. */
  readonly names: ReadonlySet<string>;
}

/** What stands before a call's arguments where its name comes first. */
const NAME_FIRST = /^([\w-]+)(?:\[CALL_ID\]\w*)?(?:\[ARGS\])?$/;

/**
 * Splits a text that comes in pieces into content and calls. However it is cut, the pieces together are the same. What begins as a
 * call and turns out to be none is content; of a call that was told already nothing is taken back. Space before a call is neither, nor at the end behind one.
 */
export class ToolCalls {
  readonly #options: ToolCallOptions;
  readonly #tags: readonly string[];
  /** Text that is not read yet. */
  #rest = "";
  #state: "text" | "between" | "name" | "call" | "closing" = "text";
  /** Text since the opening or the last call, should it turn out to be content. */
  #raw = "";
  #opening = "";
  #reader = new CallReader();
  #isTold = false;
  #isList = false;
  #hasGivenUp = false;
  #numCallsAtOpening = 0;
  readonly #pieces: CallPieces;

  constructor(options: ToolCallOptions) {
    this.#options = options;
    this.#pieces = new CallPieces(options);
    this.#tags = [...options.syntax.openings, ...options.syntax.markers];
  }

  push(text: string): CallPiece {
    this.#rest += text;
    while (this.#state === "text" ? this.#readText() : this.#readCalls());
    return this.#pieces.take();
  }

  /** What was held back. A call that the text does not end stays as it is. */
  end(): CallPiece {
    while (!this.#isAtEnd()) {
      this.#giveUp();
      while (this.#state === "text" ? this.#readText() : this.#readCalls());
    }
    this.#pieces.say(this.#rest);
    this.#pieces.end();
    return this.#pieces.take();
  }

  /** Whether the text may end here: in text, in a call that was told, or behind one. */
  #isAtEnd(): boolean {
    if (this.#state === "text") return true;
    return this.#state === "call" ? this.#isTold : this.#state !== "name" && this.#hasCalls();
  }

  /** Reads text up to a tag or a call; false where more is needed. */
  #readText(): boolean {
    const { syntax } = this.#options;
    const first = this.#rest.trimStart()[0];
    if (!this.#pieces.hasText && !this.#hasGivenUp && syntax.bare !== "") {
      if (first === undefined) return false;
      if (syntax.bare.includes(first)) return this.#open("");
    }
    const { at, tag } = firstOf(this.#rest, this.#tags);
    if (tag === null) {
      this.#pieces.say(this.#consume(this.#rest.length - partialMatchLength(this.#rest, this.#tags)));
      return false;
    }
    this.#pieces.say(this.#consume(at));
    this.#consume(tag.length);
    return syntax.openings.includes(tag) ? this.#open(syntax.markers.includes(tag) ? "" : tag) : true;
  }

  #open(opening: string): true {
    this.#opening = opening;
    this.#raw = "";
    this.#isList = false;
    this.#numCallsAtOpening = this.#pieces.numCalls;
    this.#state = "between";
    return true;
  }

  /** Reads on in calls, up to their end; false where more is needed. */
  #readCalls(): boolean {
    for (;;) {
      const char = this.#rest[0];
      if (char === undefined) return false;
      const isRead = this.#readChar(char);
      if (!isRead) return true;
    }
  }

  /** False where the character belongs to text, to which the state has changed. */
  #readChar(char: string): boolean {
    switch (this.#state) {
      case "between":
        return this.#readBetween(char);
      case "name":
        return this.#readName(char);
      case "call":
        return this.#readCall(char);
      case "closing":
        return this.#readClosing(char);
      case "text":
        return false;
    }
  }

  #readBetween(char: string): boolean {
    const { separators, hasNameFirst, closing } = this.#options.syntax;
    const hasCalls = this.#hasCalls();
    if (char === "{") return this.#beginCall(null);
    // A brace too many is what models write, too.
    const isBetween = isSpace(char) || (hasCalls && (separators.includes(char) || char === "}"));
    if (isBetween || (char === "[" && !hasCalls && !this.#isList) || (char === "]" && this.#isList)) {
      if (char === "[" || char === "]") this.#isList = char === "[";
      this.#keep();
      return true;
    }
    if (hasNameFirst && !hasCalls && !this.#isList && /[\w-]/.test(char)) {
      this.#state = "name";
      return true;
    }
    if (hasCalls && this.#opening !== "" && closing.startsWith(char)) {
      this.#raw = "";
      this.#state = "closing";
      return true;
    }
    return this.#leave();
  }

  #readName(char: string): boolean {
    if (char === "{") {
      const name = NAME_FIRST.exec(this.#raw.trim())?.[1];
      return name === undefined || !this.#options.names.has(name) ? this.#giveUp() : this.#beginCall(name);
    }
    if (!/[\w[\]-]/.test(char)) return this.#giveUp();
    this.#keep();
    return true;
  }

  #readClosing(char: string): boolean {
    const { closing } = this.#options.syntax;
    if (!closing.startsWith(this.#raw + char)) return this.#leave();
    this.#keep();
    if (this.#raw !== closing) return true;
    this.#state = "text";
    return false;
  }

  #beginCall(name: string | null): boolean {
    this.#reader = new CallReader(name);
    this.#isTold = false;
    this.#state = "call";
    return true;
  }

  #readCall(char: string): boolean {
    const step = this.#reader.push(char);
    if (step === "broken") {
      if (!this.#isTold) return this.#giveUp();
      this.#endCall();
      return true;
    }
    this.#keep();
    const { name } = this.#reader;
    if (name !== null && !this.#options.names.has(name)) return this.#giveUp();
    if (name === null) return step === "done" ? this.#giveUp() : true;
    if (this.#reader.hasArguments || step === "done") this.#tell(name);
    if (step === "done") this.#endCall();
    return true;
  }

  /** Tells of the call, once, and of what came of its arguments. */
  #tell(name: string): void {
    if (!this.#isTold) this.#pieces.beginCall(name);
    this.#isTold = true;
    this.#pieces.addArguments(this.#reader.take());
  }

  #endCall(): void {
    if (!this.#reader.hasArguments) this.#pieces.addArguments("{}");
    this.#raw = "";
    this.#state = "between";
  }

  /** Whether the opening was followed by a call. */
  #hasCalls(): boolean {
    return this.#pieces.numCalls > this.#numCallsAtOpening;
  }

  /** Text goes on: behind calls, or because there was none. */
  #leave(): boolean {
    if (!this.#hasCalls()) return this.#giveUp();
    if (this.#state === "closing") this.#rest = this.#raw + this.#rest;
    this.#state = "text";
    return false;
  }

  /** What was read since the opening, or since the last call, is content, besides calls that begin further on in it. */
  #giveUp(): false {
    if (!this.#hasCalls()) this.#pieces.say(this.#opening);
    this.#hasGivenUp = true;
    this.#rest = this.#raw + this.#rest;
    this.#state = "text";
    return false;
  }

  #keep(): void {
    this.#raw += this.#consume(1);
  }

  #consume(length: number): string {
    const taken = this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
    return taken;
  }
}

/** The tag that comes first, the longest of those that begin at one place. */
function firstOf(text: string, tags: readonly string[]): { readonly at: number; readonly tag: string | null } {
  let at = text.length;
  let tag: string | null = null;
  for (const candidate of tags) {
    const place = text.indexOf(candidate);
    if (place >= 0 && (place < at || (place === at && candidate.length > (tag?.length ?? 0)))) {
      at = place;
      tag = candidate;
    }
  }
  return { at, tag };
}
