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

    const title = "chunks of $chunk, $concurrency at once, $maxInFlightSteps steps in flight, cached: $cached";
    it.each(GOLDEN_MODES[kvDtype].map((mode, index) => ({ ...mode, index })))(title, async ({ index, ...mode }) => {
      // Each mode every fourth text, and the four of both KV types together all: the soak has the whole product.
      const first = ((kvDtype === "f32" ? 0 : 2) + (index % 2)) % jobs.length;
      const some = process.env.CAIRN_SOAK ? jobs : jobs.filter((_, i) => i % 4 === first);
      expect(some).not.toEqual([]);
      expect(await harness.checkGoldens(some, GOLDEN_BOUNDS[kvDtype], mode)).toEqual([]);
    });

    if (kvDtype === "f32") return;
    it("with one step in flight the ids are those with two", async () => {
      const mode = { chunk: null, concurrency: 4, cached: false };
      const some = process.env.CAIRN_SOAK ? jobs : jobs.slice(0, 4);
      const idsByName = await harness.generateAll(some, { ...mode, maxInFlightSteps: 1 });
      expect(await harness.generateAll(some, { ...mode, maxInFlightSteps: 2 })).toEqual(idsByName);
    });
  });
});
