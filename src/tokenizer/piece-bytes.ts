import { CHAR_OF_BYTE } from "../util/byte-level";
import type { PieceRules } from "./piece-rules";

const UTF8 = new TextEncoder();
const BYTE_PIECE = /^<0x([0-9A-Fa-f]{2})>$/;

/** The bytes that one token adds to the text, from the token as the vocabulary spells it. Added tokens spell their text. */
export function pieceBytes(token: string, isAdded: boolean, rules: PieceRules): Uint8Array {
  let text = token;
  // A function as replacement: "$" in `content` has no meaning of its own.
  for (const { pattern, content } of rules.replacements) text = text.replaceAll(pattern, () => content);
  switch (rules.byteEncoding) {
    case "byte-level":
      return (isAdded ? null : byteLevelBytes(text)) ?? UTF8.encode(text);
    case "byte-fallback": {
      const byte = BYTE_PIECE.exec(text)?.[1];
      return byte ? Uint8Array.of(Number.parseInt(byte, 16)) : UTF8.encode(text);
    }
    case "none":
      return UTF8.encode(text);
    default:
      return rules.byteEncoding satisfies never;
  }
}

/** Bytes of a text in the byte-level alphabet; null when a character is not of it. */
function byteLevelBytes(text: string): Uint8Array | null {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const byte = BYTE_OF_CHAR.get(text.charCodeAt(index));
    if (byte === undefined) return null;
    bytes[index] = byte;
  }
  return bytes;
}

const BYTE_OF_CHAR: ReadonlyMap<number, number> = new Map(CHAR_OF_BYTE.map((char, byte) => [char, byte]));
