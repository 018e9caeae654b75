/**
 * RMSNorm of one row: x / sqrt(mean(x^2) + eps) * (weight + weightOffset). `weightOffset` is 1 for checkpoints that store
 * weight - 1, as Gemma's do.
 */
export function rmsNorm(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  eps: number,
  weightOffset: 0 | 1 = 0,
): Float64Array {
  let sumOfSquares = 0;
  for (let i = 0; i < x.length; i++) sumOfSquares += x[i] * x[i];
  const inverseRms = 1 / Math.sqrt(sumOfSquares / x.length + eps);
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) out[i] = x[i] * inverseRms * (weight[i] + weightOffset);
  return out;
}
