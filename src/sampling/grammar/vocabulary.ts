import { CHAR_OF_BYTE } from "../../util/byte-level";

/** A model's tokens as grammars see them. */
export interface Vocabulary {
  /** Ids of the model; ids beyond the tokenizer's have no token. */
  readonly size: number;
  readonly tokenizer: {
    /** The bytes that a token adds to a text; none for an id without a token. */
    tokenBytes(tokenId: number): Uint8Array;
    isSpecial(tokenId: number): boolean;
    tokenText(tokenId: number): string | null;
  };
  /** Ids that end a text; those beyond `size` do not count. */
  readonly stopIds: readonly number[];
}

/**
 * In a grammar, and in the vocabulary that XGrammar gets, a special token's text stands between two of these. No JSON has
 * one, so none can have a special token; and what spells a special token's text with others is not that token.
 */
const MARK = "\x01";
const MARK_BYTE = 0x01;

/** Tokens in the alphabet of byte-level BPE, by id; "" for those that no grammar may use. */
export function encodeVocabulary({ size, tokenizer, stopIds }: Vocabulary): string[] {
  const stops = new Set(stopIds);
  return Array.from({ length: size }, (_, id) => {
    if (stops.has(id)) return "";
    if (tokenizer.isSpecial(id)) return byteLevel(new TextEncoder().encode(MARK + tokenizer.tokenText(id) + MARK));
    const bytes = tokenizer.tokenBytes(id);
    return bytes.includes(MARK_BYTE) ? "" : byteLevel(bytes);
  });
}

/** The special tokens of a vocabulary, and how a grammar's own texts spell them. */
export class SpecialTokens {
  readonly #idByText = new Map<string, number>();
  readonly #pattern: RegExp | null;
  /** A bit an id: all but special ones, and those that end a text. */
  readonly #ordinary: Uint32Array;

  constructor({ size, tokenizer, stopIds }: Vocabulary) {
    this.#ordinary = new Uint32Array(Math.ceil(size / 32)).fill(0xffffffff);
    for (let id = 0; id < size; id++) {
      if (!tokenizer.isSpecial(id) || stopIds.includes(id)) continue;
      this.#ordinary[id >>> 5] &= ~(1 << (id & 31));
      this.#idByText.set(tokenizer.tokenText(id)!, id);
    }
    const texts = [...this.#idByText.keys()].sort((a, b) => b.length - a.length);
    const escaped = texts.map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    this.#pattern = texts.length > 0 ? new RegExp(escaped.join("|"), "g") : null;
  }

  /** A text with its special tokens marked; `onToken` is told their ids. */
  mark(text: string, onToken: (tokenId: number) => void): string {
    if (!this.#pattern) return text;
    return text.replace(this.#pattern, (special) => {
      onToken(this.#idByText.get(special)!);
      return MARK + special + MARK;
    });
  }

  /** A bit for each id that a grammar may use that spells these special tokens. */
  allowed(tokenIds: Iterable<number>): Uint32Array {
    const bits = this.#ordinary.slice();
    for (const id of tokenIds) bits[id >>> 5] |= 1 << (id & 31);
    return bits;
  }
}

function byteLevel(bytes: Uint8Array): string {
  return String.fromCharCode(...Array.from(bytes, (byte) => CHAR_OF_BYTE[byte]));
}
