export function ceilDiv(a: number, b: number): number {
  return Math.floor((a + b - 1) / b);
}

/** The smallest multiple of `step` that is not less than `value`. */
export function roundUp(value: number, step: number): number {
  return ceilDiv(value, step) * step;
}
