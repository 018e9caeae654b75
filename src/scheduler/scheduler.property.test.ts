import { test } from "vitest";
import { arbitraryRun } from "./random-run.property.fixture";
import { checkRandomRuns } from "./random-runs.property.fixture";
import { RareEvents } from "./rare-events.property.fixture";
import { RunPlayer } from "./run-player.property.fixture";

const NUM_BATCHES = process.env.CAIRN_SOAK ? 200 : 3;

test(
  "random runs end in time, read only what was written for them, lose no block, and give the ids of alone",
  async () => {
    const events = new RareEvents();
    await checkRandomRuns({
      what: "random runs",
      arbitrary: arbitraryRun,
      play: (run) => new RunPlayer(run, events).play(),
      seed: 20261103,
      numRunsPerBatch: 1000,
      numBatches: NUM_BATCHES,
      eventCounts: events.counts,
    });
  },
  NUM_BATCHES * 120_000,
);
