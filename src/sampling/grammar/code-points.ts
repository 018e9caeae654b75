/** Inclusive ranges of code points. */
export type CodePoints = readonly (readonly [first: number, last: number])[];

const LAST = 0x10ffff;
const LAST_ASCII = 0x7f;
/** Of a set of some characters beyond ASCII, those that are written out one by one. */
const MAX_LISTED = 256;

/** Ascending, with gaps between them. */
export function union(...sets: readonly CodePoints[]): CodePoints {
  const ranges: [number, number][] = [];
  for (const [first, last] of sets.flat().toSorted(([a], [b]) => a - b)) {
    const previous = ranges.at(-1);
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else ranges.push([first, last]);
  }
  return ranges;
}

export function complement(set: CodePoints): CodePoints {
  const ranges: [number, number][] = [];
  let next = 0;
  for (const [first, last] of union(set)) {
    if (first > next) ranges.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST) ranges.push([next, LAST]);
  return ranges;
}

export function minus(set: CodePoints, taken: CodePoints): CodePoints {
  return complement(union(complement(set), taken));
}

export function has(set: CodePoints, codePoint: number): boolean {
  return set.some(([first, last]) => first <= codePoint && codePoint <= last);
}

export function codePointsOf(text: string): CodePoints {
  return union(Array.from(text, (char) => [char.codePointAt(0)!, char.codePointAt(0)!] as const));
}

/** What stands in a JSON string as it is. */
export const PLAIN: CodePoints = complement([
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
]);

/**
 * One character of a set as EBNF; null if there is none. XGrammar knows classes of ASCII alone, and all of the rest: of some of the
 * rest few are written out, and of many none is (`isWhole` is false).
 */
export function ebnfSet(set: CodePoints): { readonly text: string | null; readonly isWhole: boolean } {
  const beyond = minus(set, [[0, LAST_ASCII]]);
  const numBeyond = beyond.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (numBeyond === LAST - LAST_ASCII) return { text: `[^${ebnfRanges(complement(set))}]`, isWhole: true };
  const ascii = ebnfRanges(minus(set, [[LAST_ASCII + 1, LAST]]));
  const isWhole = numBeyond <= MAX_LISTED;
  const listed = isWhole
    ? beyond.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
    : [];
  const parts = [...(ascii ? [`[${ascii}]`] : []), ...listed.map((point) => ebnfText(String.fromCodePoint(point)))];
  return { text: parts.length > 1 ? `(${parts.join(" | ")})` : (parts[0] ?? null), isWhole };
}

function ebnfRanges(set: CodePoints): string {
  const hex = (codePoint: number) => `\\x${codePoint.toString(16).padStart(2, "0")}`;
  return set.map(([first, last]) => (first === last ? hex(first) : `${hex(first)}-${hex(last)}`)).join("");
}

/** A text as EBNF. */
export function ebnfText(text: string): string {
  return JSON.stringify(text);
}
