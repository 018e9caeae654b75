import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { filesSource } from "../testing/demo-model";
import { openDawnGpu } from "../testing/gpu";
import { LOSS_MOMENTS, LossTrials, NUM_LOSS_TOKENS } from "../testing/loss-trials";
import { GEMMA_CONFIG, GEMMA_JOBS, gemmaFiles } from "../testing/offload-cases";

const gpu = await openDawnGpu();
/** For each moment. */
const NUM_LOSSES = process.env.CAIRN_SOAK ? 20 : 4;

describe.skipIf(!gpu)("a device that is lost again and again", () => {
  const jobs = GEMMA_JOBS.slice(0, 3);
  const goldenIds = jobs.map(({ greedyIds }) => greedyIds.slice(0, NUM_LOSS_TOKENS));
  let trials: LossTrials;
  let numLosses = 0;
  beforeAll(async () => {
    const model = filesSource(Object.fromEntries(gemmaFiles().map(({ name, bytes }) => [name, bytes])));
    const engine = { ...GEMMA_CONFIG, numStagingSlots: 4 };
    trials = await LossTrials.open(gpu as GPU, { model, engine }, jobs);
  });
  afterAll(async () => {
    trials.dispose();
    await vi.waitFor(() => expect(trials.held).toEqual({ numDevices: 0, bufferBytes: 0 }));
  });

  it.each(LOSS_MOMENTS)(
    "%s: streams go on with the ids of an undisturbed run, and RAM holds what it would hold",
    async (moment) => {
      const { held } = trials;
      for (let i = 0; i < NUM_LOSSES; i++) {
        const report = await trials.lose(moment, i % 2, i % 4 < 2 ? "submitted" : "landed");
        numLosses += 1;
        expect(report).toMatchObject({
          outcomes: [...goldenIds, goldenIds[0]],
          ends: new Array(4).fill("length"),
          numLosses,
        });
        expect(report.hostError).toBeLessThan(1e-4);
        expect(report.numChunks).toBeGreaterThan(20);
        expect(trials.held).toEqual(held);
      }
    },
  );
});
