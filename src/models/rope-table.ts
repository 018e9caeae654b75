import { ceilDiv } from "../util/math";
import type { RopeConfig } from "./config";

/** Radians a position, for each pair (i, i + headDim / 2). Llama 3's scaling: its reference code, as config.json names the parts. */
export function inverseFrequencies({ theta, scaling }: RopeConfig, headDim: number): number[] {
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = theta ** ((-2 * i) / headDim);
    if (scaling.kind === "none") return frequency;
    if (scaling.kind === "linear") return frequency / scaling.factor;
    const { factor, lowFreqFactor, highFreqFactor, originalMaxPosition } = scaling;
    const turns = (originalMaxPosition * frequency) / (2 * Math.PI);
    if (turns > highFreqFactor) return frequency;
    if (turns < lowFreqFactor) return frequency / factor;
    const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

/** Bytes of a rope table. */
export function ropeTableBytes(headDim: number, maxPositions: number): number {
  return (256 + ceilDiv(maxPositions, 256)) * headDim * 4;
}

/**
 * (cos, sin) for the positions 0 to 255, then for the multiples of 256 below `maxPositions`: [256 + high, headDim / 2, 2].
 * Made in float64: `sin` in a shader may be off by 1e-3.
 */
export function ropeTable(rope: RopeConfig, headDim: number, maxPositions: number): Float32Array<ArrayBuffer> {
  const frequencies = inverseFrequencies(rope, headDim);
  const table = new Float32Array(ropeTableBytes(headDim, maxPositions) / 4);
  const numRows = table.length / headDim;
  let at = 0;
  for (let row = 0; row < numRows; row++) {
    const position = row < 256 ? row : (row - 256) * 256;
    for (const frequency of frequencies) {
      table[at++] = Math.cos(position * frequency);
      table[at++] = Math.sin(position * frequency);
    }
  }
  return table;
}
