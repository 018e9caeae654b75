import { maxRelativeError } from "../kernels/reference/compare";
import { assert } from "../util/errors";
import { NAN_WORD } from "./kernel-case";

/** The largest error of a kernel whose output is f32, and of one whose output is stored in f16. */
export const F32_ERROR = 1e-5;
export const F16_ERROR = 5e-3;

/** Compares rows of `rowLength`; see `maxRelativeError`. */
export function assertClose(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  rowLength: number,
  bound = F32_ERROR,
): void {
  const error = maxRelativeError(actual, expected, rowLength);
  assert(error <= bound, () => `${what}: error ${error}, at most ${bound} expected`);
}

/** Compares words, or floats by `Object.is`. */
export function assertSame(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert(actual.length === expected.length, () => `${what}: ${actual.length} values, ${expected.length} expected`);
  for (let i = 0; i < expected.length; i++) {
    assert(Object.is(actual[i], expected[i]), () => `${what}: [${i}] is ${actual[i]}, ${expected[i]} expected`);
  }
}

/** Every word of a buffer from `ctx.empty` that the kernel has no business with still is what it was. */
export function assertUntouched(what: string, words: Uint32Array, isOutput: (index: number) => boolean): void {
  const index = words.findIndex((word, i) => word !== NAN_WORD && !isOutput(i));
  assert(index < 0, () => `${what}: word ${index} was written`);
}
