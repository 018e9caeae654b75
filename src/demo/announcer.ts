const SENTENCE_END = /[.!?…。！？]["'”’)\]]*(?=\s|$)|\n\n/gu;
const MIN_LENGTH = 60;

/** Where the whole sentences of a growing text end; at least 60 characters past `from`, or `from` itself when too little is complete. */
export function endOfSentences(text: string, from: number): number {
  let end = from;
  for (const match of text.slice(from).matchAll(SENTENCE_END)) end = from + match.index + match[0].length;
  return end - from >= MIN_LENGTH ? end : from;
}

/** Feeds a polite live region with whole sentences of an answer, so that a screen reader is not interrupted by every token. */
export class Announcer {
  #answerId: number | null = null;
  #end = 0;

  /** What to announce now, or null when there is nothing new. `text` only grows while `answerId` stays the same. */
  next(answerId: number, text: string, isComplete: boolean): string | null {
    if (this.#answerId !== answerId) {
      this.#answerId = answerId;
      this.#end = 0;
    }
    const start = this.#end;
    this.#end = isComplete ? text.length : endOfSentences(text, start);
    const sentences = text.slice(start, this.#end).trim();
    return sentences === "" ? null : sentences;
  }
}
