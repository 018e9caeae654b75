import { test } from "vitest";
import { OffloadEvents } from "./offload-events.property.fixture";
import { OffloadPlayer } from "./offload-player.property.fixture";
import { checkRandomRuns } from "./random-runs.property.fixture";
import { StorageEvents } from "./storage-events.property.fixture";
import { arbitraryStorageRun } from "./storage-run.property.fixture";

/** A run takes several times as long as one without storage: the soak has most of them. */
const NUM_BATCHES = process.env.CAIRN_SOAK ? 100 : 1;

test(
  "random runs with a storage tier end in time, read only what was written, write nothing that is private, and give the ids of alone",
  async () => {
    const events = new StorageEvents();
    await checkRandomRuns({
      what: "random runs with a storage tier",
      arbitrary: arbitraryStorageRun,
      play: (run) => new OffloadPlayer(run, new OffloadEvents(), { run, events }).play(),
      seed: 20261126,
      numRunsPerBatch: 500,
      numBatches: NUM_BATCHES,
      eventCounts: events.counts,
      minTimes: NUM_BATCHES === 1 ? 8 : 50,
    });
  },
  NUM_BATCHES * 120_000,
);
