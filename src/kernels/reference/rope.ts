import type { RopeConfig, RopeScaling } from "../../models/config";

/** Radians a position for each of the headDim / 2 rotated pairs, scaling applied. */
export function ropeInverseFrequencies(rope: RopeConfig, headDim: number): Float64Array {
  const frequencies = new Float64Array(headDim / 2);
  for (let pair = 0; pair < frequencies.length; pair++) {
    frequencies[pair] = scaleFrequency(rope.theta ** ((-2 * pair) / headDim), rope.scaling);
  }
  return frequencies;
}

function scaleFrequency(frequency: number, scaling: RopeScaling): number {
  switch (scaling.kind) {
    case "none":
      return frequency;
    case "linear":
      return frequency / scaling.factor;
    case "llama3": {
      // Turns that the pair makes over the original context: few turns are slowed down, many are kept, between them it is blended.
      const numTurns = (scaling.originalMaxPosition * frequency) / (2 * Math.PI);
      const blend = (numTurns - scaling.lowFreqFactor) / (scaling.highFreqFactor - scaling.lowFreqFactor);
      const kept = Math.min(1, Math.max(0, blend));
      return kept * frequency + ((1 - kept) * frequency) / scaling.factor;
    }
    default:
      return scaling satisfies never;
  }
}

/** One head rotated to `position`. Element i turns with element i + headDim / 2 (rotate-half, as Hugging Face lays out q and k). */
export function applyRope(
  head: ArrayLike<number>,
  position: number,
  inverseFrequencies: ArrayLike<number>,
): Float64Array {
  const half = inverseFrequencies.length;
  const out = new Float64Array(2 * half);
  for (let i = 0; i < half; i++) {
    const angle = position * inverseFrequencies[i];
    const cos = Math.cos(angle);
    const sin = Math.sin(angle);
    out[i] = head[i] * cos - head[i + half] * sin;
    out[i + half] = head[i + half] * cos + head[i] * sin;
  }
  return out;
}
