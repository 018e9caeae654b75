/** What the decoder needs of a Tokenizer. */
export interface TokenDecoding {
  readonly leadingStrip: { readonly char: string; readonly count: number };
  isSpecial(tokenId: number): boolean;
  tokenBytes(tokenId: number): Uint8Array;
}

/** Longest part of a UTF-8 character that can wait for its rest, and one byte before it. */
const CONTEXT_BYTES = 4;
/** More than `<think>` and the line breaks behind it take, whatever the vocabulary. */
const MAX_THINK_TOKENS = 16;

/** Whether a prompt ends within the model's thoughts: with `<think>`, and nothing but space behind it. */
export function endsInThoughts(tokenizer: TokenDecoding, promptTokenIds: readonly number[]): boolean {
  const decoder = new IncrementalDecoder(tokenizer, [], true);
  const pieces = promptTokenIds.slice(-MAX_THINK_TOKENS).map((tokenId) => decoder.push(tokenId));
  return /<think>\s*$/.test(pieces.join(""));
}

/**
 * Turns ids into text as they come. The parts together are the text that a whole decode of prompt and output has after
 * the prompt's: special tokens left out unless they are kept, a leading space kept where text stands before it, bytes that are not UTF-8
 * replaced by U+FFFD once they cannot become a character any more. Never gives half a character. The cost of an id does
 * not depend on how many came before.
 */
export class IncrementalDecoder {
  readonly #tokenizer: TokenDecoding;
  readonly #keepSpecialTokens: boolean;
  // Keeps a byte order mark that the model wrote.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  #numToStrip: number;

  /** `promptTokenIds`: what the output continues; empty to decode from the start of a text. */
  constructor(tokenizer: TokenDecoding, promptTokenIds: readonly number[] = [], keepSpecialTokens = false) {
    this.#tokenizer = tokenizer;
    this.#keepSpecialTokens = keepSpecialTokens;
    this.#numToStrip = tokenizer.leadingStrip.count;
    // Where the output's words begin does not depend on what is kept.
    for (const tokenId of this.#contextOf(promptTokenIds)) if (!tokenizer.isSpecial(tokenId)) this.push(tokenId);
  }

  /** Text that became complete with this id; may be empty. */
  push(tokenId: number): string {
    if (!this.#keepSpecialTokens && this.#tokenizer.isSpecial(tokenId)) return "";
    return this.#strip(this.#utf8.decode(this.#tokenizer.tokenBytes(tokenId), { stream: true }));
  }

  /** What is left at the end of the output: U+FFFD for a character that never became complete, else nothing. */
  flush(): string {
    return this.#strip(this.#utf8.decode());
  }

  /** The end of the prompt, long enough to settle the leading strip and to hold a character that it cuts. */
  #contextOf(promptTokenIds: readonly number[]): readonly number[] {
    let numBytes = 0;
    let start = promptTokenIds.length;
    while (start > 0 && numBytes < CONTEXT_BYTES + this.#numToStrip) {
      const tokenId = promptTokenIds[--start];
      if (!this.#tokenizer.isSpecial(tokenId)) numBytes += this.#tokenizer.tokenBytes(tokenId).length;
    }
    return promptTokenIds.slice(start);
  }

  #strip(text: string): string {
    let start = 0;
    while (this.#numToStrip > 0 && start < text.length) {
      if (text[start] === this.#tokenizer.leadingStrip.char) {
        start++;
        this.#numToStrip--;
      } else {
        this.#numToStrip = 0;
      }
    }
    return text.slice(start);
  }
}
