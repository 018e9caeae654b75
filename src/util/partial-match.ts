/** Length of the longest end of a text with which one of these may begin; 0 where there is none. None of them is in it whole. */
export function partialMatchLength(text: string, targets: readonly string[]): number {
  const longest = Math.max(0, ...targets.map((target) => target.length));
  for (let length = Math.min(text.length, longest - 1); length > 0; length--) {
    const end = text.slice(text.length - length);
    if (targets.some((target) => target.startsWith(end))) return length;
  }
  return 0;
}
