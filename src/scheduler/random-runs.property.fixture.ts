import fc from "fast-check";
import { expect } from "vitest";

interface RandomRuns<Run> {
  /** In words, for the log. */
  readonly what: string;
  readonly arbitrary: fc.Arbitrary<Run>;
  readonly play: (run: Run) => void;
  /** Of the first batch; the next one has the next seed. A failure prints its own, and the path to the smallest run. */
  readonly seed: number;
  readonly numRunsPerBatch: number;
  readonly numBatches: number;
  /** Filled by `play`. */
  readonly eventCounts: ReadonlyMap<string, number>;
  /** Each event has to happen at least so often, or the runs would prove little; 50 unless given. */
  readonly minTimes?: number;
}

export async function checkRandomRuns<Run>(runs: RandomRuns<Run>): Promise<void> {
  const { what, arbitrary, play, seed, numRunsPerBatch, numBatches, eventCounts, minTimes = 50 } = runs;
  const property = fc.property(arbitrary, play);
  const startMs = performance.now();
  for (let batch = 0; batch < numBatches; batch++) {
    fc.assert(property, { seed: seed + batch, numRuns: numRunsPerBatch });
    await new Promise((resolve) => setImmediate(resolve)); // Vitest takes a thread that is silent for a minute for dead.
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const [rarest] = [...eventCounts].sort(([, a], [, b]) => a - b);
  const numRuns = numBatches * numRunsPerBatch;
  console.log(`${numRuns} ${what} in ${seconds} s, seeds from ${seed} on; rarest, ${rarest[1]} times: ${rarest[0]}`);
  for (const [event, times] of eventCounts) expect.soft(times, event).toBeGreaterThanOrEqual(minTimes);
}
