import { test } from "vitest";
import { OffloadEvents } from "./offload-events.property.fixture";
import { OffloadPlayer } from "./offload-player.property.fixture";
import { arbitraryOffloadRun } from "./offload-run.property.fixture";
import { checkRandomRuns } from "./random-runs.property.fixture";

const NUM_BATCHES = process.env.CAIRN_SOAK ? 100 : 1;

test(
  "random runs with a connector end in time, move and read only what was written for them, lose nothing, and give the ids of alone",
  async () => {
    const events = new OffloadEvents();
    await checkRandomRuns({
      what: "random runs with a connector",
      arbitrary: arbitraryOffloadRun,
      play: (run) => new OffloadPlayer(run, events).play(),
      seed: 20261125,
      numRunsPerBatch: 500,
      numBatches: NUM_BATCHES,
      eventCounts: events.counts,
      minTimes: NUM_BATCHES === 1 ? 5 : 50,
    });
  },
  NUM_BATCHES * 120_000,
);
