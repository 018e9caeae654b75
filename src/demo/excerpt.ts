const MAX_LENGTH = 420;
const HEAD_LENGTH = 180;

/** The start and the last line of a long prompt, where what it is and what it asks usually stand; null when the text is short enough to show whole. */
export function excerptOf(text: string): { readonly head: string; readonly tail: string } | null {
  if (text.length <= MAX_LENGTH) return null;
  const cut = text.slice(0, HEAD_LENGTH);
  const lastSpace = cut.lastIndexOf(" ");
  const head = lastSpace > 0 ? cut.slice(0, lastSpace).trimEnd() : cut;
  const lastLine = text.trimEnd().split("\n").at(-1) ?? "";
  return { head, tail: lastLine.length <= HEAD_LENGTH ? lastLine : "" };
}
