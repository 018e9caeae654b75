/** Matrix times vector: `weights` is row-major [rows, cols], `x` has cols elements, the result rows. */
export function linear(
  x: ArrayLike<number>,
  weights: ArrayLike<number>,
  numRows: number,
  numCols: number,
): Float64Array {
  const out = new Float64Array(numRows);
  for (let row = 0; row < numRows; row++) {
    const start = row * numCols;
    let sum = 0;
    for (let col = 0; col < numCols; col++) sum += weights[start + col] * x[col];
    out[row] = sum;
  }
  return out;
}
