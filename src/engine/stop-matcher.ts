import { partialMatchLength } from "../util/partial-match";

interface Match {
  readonly start: number;
  readonly end: number;
}

/**
 * Finds stop strings in text that comes in pieces. The result does not depend on how the text is cut: of all
 * occurrences the one that is complete first ends the text, the longest of those that end together.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  /** The end of the text so far that could still become a stop string; not yet handed out. */
  #held = "";
  #matched = false;

  /** `stops` are not empty strings. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** True once a stop string was found; no text comes after. */
  get matched(): boolean {
    return this.#matched;
  }

  /** Takes the next piece and returns the text that is safe to show: no part of a stop string, nothing past it. */
  push(piece: string): string {
    if (this.#matched) return "";
    const text = this.#held + piece;
    const match = this.#firstMatch(text);
    if (match) {
      this.#matched = true;
      this.#held = "";
      return text.slice(0, match.start);
    }
    const safeLength = text.length - partialMatchLength(text, this.#stops);
    this.#held = text.slice(safeLength);
    return text.slice(0, safeLength);
  }

  /** The text ended: what was held back became no stop string. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  #firstMatch(text: string): Match | null {
    let first: Match | null = null;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (!first || end < first.end || (end === first.end && start < first.start)) first = { start, end };
    }
    return first;
  }
}
