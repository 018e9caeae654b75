import type { OutputLogprob, TokenLogprob } from "../protocol/messages";
import type { Logprobs } from "../sampling/sampling-params";

/** What is needed of a Tokenizer. */
export interface TokenBytes {
  tokenBytes(tokenId: number): Uint8Array;
}

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The logprobs of a text that comes in pieces. A token's go out with the text in which it begins: so none go out for a
 * token that begins with a stop string or behind one, and those of the tokens of one character go out together.
 */
export class TextLogprobs {
  readonly #tokenizer: TokenBytes;
  #waiting: OutputLogprob[] = [];

  constructor(tokenizer: TokenBytes) {
    this.#tokenizer = tokenizer;
  }

  /** The next token, which begins at `textOffset` of the text. */
  push(tokenId: number, { logprob, top }: Logprobs, textOffset: number): void {
    this.#waiting.push({
      ...this.#describe(tokenId, logprob),
      textOffset,
      top: top.map(([id, topLogprob]) => this.#describe(id, topLogprob)),
    });
  }

  /** Those that begin before `textLength` and were not taken yet. */
  take(textLength: number): readonly OutputLogprob[] {
    const taken = this.#waiting.filter(({ textOffset }) => textOffset < textLength);
    this.#waiting = this.#waiting.slice(taken.length);
    return taken;
  }

  #describe(tokenId: number, logprob: number): TokenLogprob {
    const bytes = this.#tokenizer.tokenBytes(tokenId);
    return { token: UTF8.decode(bytes), bytes: [...bytes], logprob };
  }
}
