/** A median is that of so many samples, the latest. */
const MAX_SAMPLES = 15;
/** A sample so long, and so many times dearer than the median, is first taken for a tab that was frozen meanwhile. */
const GAP_MS = 1000;
const GAP_FACTOR = 16;

interface Sample {
  readonly numUnits: number;
  readonly msPerUnit: number;
}

/**
 * What a unit of something costs, by the latest samples. Their median is taken over units: a large sample counts for more than
 * a small one, most of whose time is not that of its units.
 */
export class MedianRate {
  readonly #unknownMs: number;
  #minSamples: number;
  #samples: readonly Sample[] = [];
  #msPerUnit = Number.POSITIVE_INFINITY;
  #isStale = false;
  #wasGap = false;

  /** With fewer samples than `minSamples` nothing is known, and anything is predicted to take `unknownMs`. */
  constructor(minSamples: number, unknownMs: number) {
    this.#minSamples = minSamples;
    this.#unknownMs = unknownMs;
  }

  /** What a frozen tab makes of a sample is left out; but two such samples in a row say how things are now. */
  add(numUnits: number, ms: number): void {
    const isGap = ms > Math.max(GAP_MS, GAP_FACTOR * this.#msPerUnit * numUnits);
    const isLeftOut = isGap && !this.#wasGap;
    this.#wasGap = isGap;
    if (isLeftOut) return;
    if (this.#isStale) {
      this.#isStale = false;
      this.#minSamples = 1;
      this.#samples = [];
    }
    this.#samples = [...this.#samples, { numUnits, msPerUnit: ms / numUnits }].slice(-MAX_SAMPLES);
    let numUnitsLeft = 0.5 * this.#samples.reduce((sum, sample) => sum + sample.numUnits, 0);
    for (const sample of this.#samples.toSorted((a, b) => a.msPerUnit - b.msPerUnit)) {
      if (numUnitsLeft > 0) this.#msPerUnit = sample.msPerUnit;
      numUnitsLeft -= sample.numUnits;
    }
  }

  /** The next sample takes the place of all that there are, and is enough. */
  renew(): void {
    this.#isStale = true;
  }

  predictMs(numUnits: number): number {
    return this.#samples.length < this.#minSamples ? this.#unknownMs : this.#msPerUnit * numUnits;
  }
}
