/** A seeded generator for tests: the same seed gives the same values everywhere. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer in [0, 2^32). */
  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return (bits ^ (bits >>> 16)) >>> 0;
  }

  /** A float in [min, max). */
  uniform(min = 0, max = 1): number {
    return min + (this.uint32() / 2 ** 32) * (max - min);
  }

  /** An integer in [min, max). */
  int(min: number, max: number): number {
    return Math.floor(this.uniform(min, max));
  }

  /** Normally distributed, mean 0. */
  normal(standardDeviation = 1): number {
    // 1 - u is in (0, 1], so the logarithm is finite.
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return standardDeviation * radius * Math.cos(2 * Math.PI * this.uniform());
  }

  uniformArray(length: number, min = 0, max = 1): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length }, () => this.uniform(min, max));
  }

  normalArray(length: number, standardDeviation = 1): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length }, () => this.normal(standardDeviation));
  }

  /** Integers in [min, max). */
  intArray(length: number, min: number, max: number): number[] {
    return Array.from({ length }, () => this.int(min, max));
  }
}
