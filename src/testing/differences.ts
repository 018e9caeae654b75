/** Largest difference of two lists of equal length; NaN where a number is NaN, or a list is missing. */
export function maxDifference(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (!a || a.length !== b?.length) return Number.NaN;
  return maxOf(Array.from(a, (value, index) => Math.abs(value - b[index])));
}

/** 0 of none; NaN where one is. */
export function maxOf(values: readonly number[]): number {
  return values.reduce((max, value) => (value > max || Number.isNaN(value) ? value : max), 0);
}
