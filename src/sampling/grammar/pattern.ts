import { type CodePoints, codePointsOf, complement, ebnfSet, ebnfText, has, minus, PLAIN, union } from "./code-points";

const DIGIT: CodePoints = [[0x30, 0x39]];
const WORD = union(DIGIT, [[0x41, 0x5a]], [[0x61, 0x7a]], codePointsOf("_"));
/** Of the spaces and line ends beyond ASCII, which no model writes, \S and . let all pass. */
const SPACE = codePointsOf(" \t\n\r\f\v");
const LINE_ENDS = codePointsOf("\n\r");
const CLASSES: Readonly<Record<string, CodePoints>> = { d: DIGIT, w: WORD, s: SPACE };
const CONTROLS: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v", 0: "\0" };
/** As JSON writes them. */
const ESCAPED = ['"', "\\", "\n", "\r", "\t", "\b", "\f"] as const;

/** A regular expression that cannot be made a grammar, and why. */
export class PatternError extends Error {}

/**
 * The JSON strings, without their quotes, that a regular expression matches, as EBNF. `anything`: any number of any characters.
 * Throws PatternError for what no grammar of this kind can do (looking around, back references), and for what is seldom enough.
 */
export function patternGrammar(pattern: string, anything: string): string {
  try {
    new RegExp(pattern);
  } catch {
    throw new PatternError("is no regular expression");
  }
  const parser = new PatternParser(pattern);
  const branches = parser.branches();
  if (!parser.isAtEnd) throw new PatternError(`has something unexpected at ${parser.position}`);
  const texts = branches.map(({ terms, isStart, isEnd }) =>
    [isStart ? [] : anything, terms, isEnd ? [] : anything].flat().join(" "),
  );
  return texts.map((text) => text || '""').join(" | ");
}

interface Branch {
  readonly terms: readonly string[];
  readonly isStart: boolean;
  readonly isEnd: boolean;
}

class PatternParser {
  readonly #chars: readonly string[];
  position = 0;

  constructor(pattern: string) {
    this.#chars = [...pattern];
  }

  get isAtEnd(): boolean {
    return this.position === this.#chars.length;
  }

  branches(): Branch[] {
    const branches = [this.#branch()];
    while (this.#take("|")) branches.push(this.#branch());
    return branches;
  }

  #branch(): Branch {
    const isStart = this.#take("^");
    const terms: string[] = [];
    while (!this.isAtEnd && !["|", ")", "$"].includes(this.#peek())) terms.push(this.#term());
    const isEnd = this.#take("$");
    return { terms, isStart, isEnd };
  }

  #term(): string {
    const atom = this.#atom();
    const quantifier = this.#quantifier();
    return `${atom}${quantifier}`;
  }

  #quantifier(): string {
    const char = this.#peek();
    if (!["*", "+", "?", "{"].includes(char)) return "";
    this.position += 1;
    let text = char;
    if (char === "{") text += this.#until("}");
    this.#take("?"); // Lazy: the same strings.
    return text;
  }

  #atom(): string {
    const char = this.#next();
    if (char === "(") return this.#group();
    if (char === "[") return setGrammar(this.#class());
    if (char === ".") return setGrammar(complement(LINE_ENDS));
    if (char === "\\") return setGrammar(this.#escape());
    if (char === "^") throw new PatternError("has ^ elsewhere than at its start");
    return setGrammar(codePointsOf(char));
  }

  #group(): string {
    if (this.#take("?")) {
      const isNamed = this.#take("<");
      const kind = isNamed ? this.#peek() : this.#next();
      if (isNamed ? ["=", "!"].includes(kind) : kind !== ":") throw new PatternError("looks ahead or behind");
      if (isNamed) this.#until(">");
    }
    const branches = this.branches();
    this.position += 1;
    if (branches.some(({ isStart, isEnd }) => isStart || isEnd)) throw new PatternError("has ^ or $ within a group");
    return `(${branches.map(({ terms }) => terms.join(" ") || '""').join(" | ")})`;
  }

  #class(): CodePoints {
    const isNegated = this.#take("^");
    const sets: CodePoints[] = [];
    while (!this.#take("]")) {
      const first = this.#classItem();
      const [low] = first;
      const isRange = this.#peek() === "-" && this.#chars[this.position + 1] !== "]";
      if (!isRange) {
        sets.push(first);
        continue;
      }
      this.position += 1;
      const [high] = this.#classItem();
      sets.push([[low[0], high[1]]]);
    }
    const set = union(...sets);
    return isNegated ? complement(set) : set;
  }

  #classItem(): CodePoints {
    const char = this.#next();
    if (char !== "\\") return codePointsOf(char);
    return this.#take("b") ? codePointsOf("\b") : this.#escape();
  }

  /** Behind a backslash. */
  #escape(): CodePoints {
    const char = this.#next();
    const set = CLASSES[char.toLowerCase()];
    if (set) return char in CLASSES ? set : complement(set);
    if (char in CONTROLS) return codePointsOf(CONTROLS[char]);
    if (char === "x") return this.#hex(2);
    if (char === "u") return this.#take("{") ? hexPoint(this.#until("}").slice(0, -1)) : this.#hex(4);
    if (/[\w]/.test(char)) throw new PatternError(`has \\${char}`);
    return codePointsOf(char);
  }

  #hex(numDigits: number): CodePoints {
    this.position += numDigits;
    return hexPoint(this.#chars.slice(this.position - numDigits, this.position).join(""));
  }

  #peek(): string {
    return this.#chars[this.position] ?? "";
  }

  #next(): string {
    return this.#chars[this.position++] ?? "";
  }

  #take(char: string): boolean {
    const isNext = this.#peek() === char;
    if (isNext) this.position += 1;
    return isNext;
  }

  /** What comes up to `end`, and that. */
  #until(end: string): string {
    const index = this.#chars.indexOf(end, this.position);
    const text = this.#chars.slice(this.position, index + 1).join("");
    this.position = index + 1;
    return text;
  }
}

function hexPoint(digits: string): CodePoints {
  const codePoint = Number.parseInt(digits, 16);
  return [[codePoint, codePoint]];
}

/** One character of a JSON string, out of a set: as itself, or as JSON escapes it. */
function setGrammar(set: CodePoints): string {
  const { text: plain, isWhole } = ebnfSet(minus(set, complement(PLAIN)));
  if (!isWhole) throw new PatternError("has many characters beyond ASCII, but not all");
  const escapes = ESCAPED.filter((char) => has(set, char.charCodeAt(0)));
  const parts = [...(plain ? [plain] : []), ...escapes.map((char) => ebnfText(JSON.stringify(char).slice(1, -1)))];
  if (parts.length === 0) throw new PatternError("has a character that no text has");
  return parts.length === 1 ? parts[0] : `(${parts.join(" | ")})`;
}
