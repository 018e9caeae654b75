/**
 * A number in [0, 1), a multiple of 2^-24: a pure function of its arguments, so that a text repeats with its seed
 * whatever else runs. The hash is pcg3d (Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 2020) over
 * (seed low, seed high, position) in u32 arithmetic, so that a shader gets the same bits.
 * `seed`: two u32 halves. `position`: position of the token that is drawn, a u32.
 */
export function randomUniform(seed: readonly [low: number, high: number], position: number): number {
  let x = scramble(seed[0]);
  let y = scramble(seed[1]);
  let z = scramble(position);
  x = (x + Math.imul(y, z)) | 0;
  y = (y + Math.imul(z, x)) | 0;
  z = (z + Math.imul(x, y)) | 0;
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  x = (x + Math.imul(y, z)) | 0;
  return (x >>> 8) / 2 ** 24;
}

function scramble(word: number): number {
  return (Math.imul(word, 1664525) + 1013904223) | 0;
}
