import { assert } from "../../util/errors";

/**
 * The error of a kernel: max|actual - expected| / max|expected| within a row, the largest over all rows. Infinity where a row has
 * a value that is not finite, or differs from a row of zeros.
 */
export function maxRelativeError(actual: ArrayLike<number>, expected: ArrayLike<number>, rowLength: number): number {
  assert(actual.length === expected.length, () => `${actual.length} values compared with ${expected.length}`);
  assert(expected.length % rowLength === 0, () => `${expected.length} values do not make rows of ${rowLength}`);
  let worst = 0;
  for (let start = 0; start < expected.length; start += rowLength) {
    let maxError = 0;
    let maxExpected = 0;
    for (let i = start; i < start + rowLength; i++) {
      const error = Math.abs(actual[i] - expected[i]);
      if (!Number.isFinite(error)) return Infinity;
      maxError = Math.max(maxError, error);
      maxExpected = Math.max(maxExpected, Math.abs(expected[i]));
    }
    if (maxError > 0) worst = Math.max(worst, maxError / maxExpected);
  }
  return worst;
}
