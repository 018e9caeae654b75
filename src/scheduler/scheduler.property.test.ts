import fc from "fast-check";
import { expect, test } from "vitest";
import { arbitraryRun } from "./random-run.property.fixture";
import { RareEvents } from "./rare-events.property.fixture";
import { RunPlayer } from "./run-player.property.fixture";

/** Of the first batch; the next one has the next seed. A failure prints its own, and the path to the smallest run. */
const SEED = 20261103;
const NUM_RUNS_PER_BATCH = 1000;
const NUM_BATCHES = process.env.CAIRN_SOAK ? 200 : 2;
const MIN_TIMES = 50;
const TIMEOUT_MS = NUM_BATCHES * 60_000;

test(
  "random runs end in time, read only what was written for them, lose no block, and give the ids of alone",
  async () => {
    const events = new RareEvents();
    const property = fc.property(arbitraryRun, (run) => new RunPlayer(run, events).play());
    const startMs = performance.now();
    for (let batch = 0; batch < NUM_BATCHES; batch++) {
      fc.assert(property, { seed: SEED + batch, numRuns: NUM_RUNS_PER_BATCH });
      await new Promise((resolve) => setImmediate(resolve)); // Vitest takes a thread that is silent for a minute for dead.
    }
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    const [rarest] = [...events.counts].sort(([, a], [, b]) => a - b);
    const numRuns = NUM_BATCHES * NUM_RUNS_PER_BATCH;
    console.log(
      `${numRuns} random runs in ${seconds} s, seeds from ${SEED} on; rarest, ${rarest[1]} times: ${rarest[0]}`,
    );
    for (const [event, times] of events.counts) expect.soft(times, event).toBeGreaterThanOrEqual(MIN_TIMES);
  },
  TIMEOUT_MS,
);
