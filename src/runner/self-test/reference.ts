import type { Activation } from "../../kernels/linear";

/** The kernels once more in float64 and a few lines each; these must not share anything with them. */
export type Vector = ArrayLike<number>;

export function dot(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += a[i] * b[i];
  return sum;
}

export function rmsNorm(x: Vector, weights: Vector, eps: number): number[] {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + eps);
  return Array.from(x, (value, i) => value * scale * weights[i]);
}

export function add(a: Vector, b: Vector): number[] {
  return Array.from(a, (value, i) => value + b[i]);
}

export function gated(activation: Activation, gate: number, up: number): number {
  if (activation === "silu") return (gate / (1 + Math.exp(-gate))) * up;
  return 0.5 * gate * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3))) * up;
}

/** Turns the pairs (i, i + half) by position times their frequency. */
export function rotate(x: Vector, position: number, frequencies: Vector): number[] {
  const half = frequencies.length;
  return Array.from(x, (value, i) => {
    const angle = position * frequencies[i % half];
    const other = i < half ? -x[i + half] : x[i - half];
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** One query over the keys [first, last]. */
export function attend(
  query: Vector,
  keys: readonly Vector[],
  values: readonly Vector[],
  first: number,
  last: number,
): number[] {
  const out = Array<number>(query.length).fill(0);
  let total = 0;
  for (let k = first; k <= last; k++) {
    const weight = Math.exp(dot(query, keys[k]));
    total += weight;
    for (let i = 0; i < out.length; i++) out[i] += weight * values[k][i];
  }
  return out.map((sum) => sum / total);
}
