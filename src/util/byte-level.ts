/**
 * The alphabet of byte-level BPE, the code of each byte's character: a byte that is a printable Latin-1 character stands for itself,
 * the others are numbered from U+0100 on in byte order.
 */
export const CHAR_OF_BYTE: readonly number[] = byteLevelAlphabet();

function byteLevelAlphabet(): number[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return isPrintable ? byte : next++;
  });
}
