import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesSource, readModelDir } from "../testing/demo-model";
import { EngineHarness } from "../testing/engine-harness";
import { GOLDEN_BOUNDS, GOLDEN_MODES } from "../testing/golden-job";
import { loadGoldenJobs } from "../testing/goldens";
import { openDawnGpu } from "../testing/gpu";

const gpu = await openDawnGpu();

describe.skipIf(!gpu).each([...loadGoldenJobs()])("ids and logits of %s", (_, { dir, jobs }) => {
  describe.each(["f32", "f16"] as const)("with %s KV", (kvDtype) => {
    let harness: EngineHarness;
    beforeAll(async () => {
      harness = await EngineHarness.open(gpu as GPU, { model: filesSource(readModelDir(dir)), kvDtype });
    });
    afterAll(() => harness.dispose());

    it.each(GOLDEN_MODES[kvDtype])("chunks of $chunk, $concurrency at once", async ({ chunk, concurrency }) => {
      harness.setPrefillChunk(chunk);
      expect(await harness.checkGoldens(jobs, GOLDEN_BOUNDS[kvDtype], concurrency)).toEqual([]);
    });
  });
});
