import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { filesSource } from "../testing/demo-model";
import { openDawnGpu } from "../testing/gpu";
import { LOSS_MOMENTS, LossTrials, NUM_LOSS_TOKENS } from "../testing/loss-trials";
import { GEMMA_CONFIG, GEMMA_JOBS, gemmaFiles } from "../testing/offload-cases";
import { DEMO_MODEL, expectServing, GREETING, loadTestEngine, TestRequest } from "../testing/test-engine";
import { WatchedGpu } from "../testing/watched-gpu";

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

describe.skipIf(!gpu)("after a loss", () => {
  it("what a request samples by seed, penalties and logprobs is that of an undisturbed run", async () => {
    const watched = new WatchedGpu(gpu as GPU);
    const engine = await loadTestEngine(watched.gpu);
    const sampling = { temperature: 1, topK: 40, presencePenalty: 1, numLogprobs: 2, seed: [7, 1] } as const;
    const fields = { sampling, maxTokens: 12 };
    const undisturbed = await new TestRequest(engine, fields).outcome;
    let numDeltas = 0;
    const request = new TestRequest(engine, fields, ({ kind }) => {
      if (kind === "delta" && ++numDeltas === 4) watched.device.destroy();
    });
    expect(await request.outcome).toEqual(undisturbed);
    expect(engine.kvStats().numDeviceLosses).toBe(1);
    expect(watched.devices).toHaveLength(2);
    await expectServing(engine);
    engine.dispose();
    expect(watched.bufferBytes).toBe(0);
  });

  it("a next device that is lost while it loads is followed by another", async () => {
    const watched = new WatchedGpu(gpu as GPU);
    const requestAdapter = watched.gpu.requestAdapter.bind(watched.gpu);
    const engine = await loadTestEngine(watched.gpu);
    watched.gpu.requestAdapter = async (options) => {
      const adapter = await requestAdapter(options);
      const requestDevice = adapter?.requestDevice.bind(adapter);
      if (!adapter || !requestDevice || watched.devices.length === 2) return adapter;
      adapter.requestDevice = async (descriptor) => {
        const device = await requestDevice(descriptor);
        setTimeout(() => device.destroy());
        return device;
      };
      return adapter;
    };
    watched.device.destroy();
    // Three in all within five minutes would end the engine.
    const { end, tokenIds } = await new TestRequest(engine, {}).outcome;
    expect([end, tokenIds]).toEqual(["stop", GREETING.greedyIds]);
    expect([watched.devices.length, engine.kvStats().numDeviceLosses]).toEqual([3, 2]);
    engine.dispose();
    await vi.waitFor(() => expect(watched.numLiveDevices).toBe(0));
  });

  it("an adapter that is not there at once is waited for", async () => {
    const watched = new WatchedGpu(gpu as GPU);
    const engine = await loadTestEngine(watched.gpu);
    const requestAdapter = watched.gpu.requestAdapter.bind(watched.gpu);
    let numRefused = 0;
    watched.gpu.requestAdapter = async (options) => (numRefused++ < 2 ? null : requestAdapter(options));
    watched.device.destroy();
    const { end, tokenIds } = await new TestRequest(engine, {}).outcome;
    expect([end, tokenIds]).toEqual(["stop", GREETING.greedyIds]);
    engine.dispose();
  });

  it("files that have changed end the engine, and so does a GPU that gives fewer blocks, or no adapter", async () => {
    const weights = DEMO_MODEL["model.safetensors"].slice();
    weights[weights.length - 2] ^= 1;
    const file = "model.safetensors";
    const changed = { code: "integrity", data: { file, expected: expect.any(String), actual: expect.any(String) } };
    const ends = [
      [
        changed,
        (files: File[]) =>
          files.splice(
            files.findIndex(({ name }) => name === file),
            1,
            new File([weights], file),
          ),
      ],
      [{ code: "out_of_memory" }, () => watched.refuse("kv.plane0")],
      [{ code: "no_adapter" }, () => watched.refuse("adapter")],
    ] as const;
    const watched = refusingGpu();
    for (const [error, change] of ends) {
      watched.refuse(null);
      const model = filesSource(DEMO_MODEL) as { readonly kind: "files"; readonly files: File[] };
      const engine = await loadTestEngine(watched.gpu, { model });
      change(model.files);
      watched.loseDevice();
      expect((await new TestRequest(engine, {}).outcome).end).toMatchObject(error);
      expect((await new TestRequest(engine, {}).outcome).end).toMatchObject(error);
      await vi.waitFor(() => expect(watched.numLiveDevices).toBe(0));
      engine.dispose();
    }
  });
});

/** A GPU that refuses a buffer, or an adapter, from when a test says so. */
function refusingGpu() {
  let refused: string | null = null;
  const watched = new WatchedGpu(gpu as GPU, { refuses: ({ label }) => label === refused });
  const requestAdapter = watched.gpu.requestAdapter.bind(watched.gpu);
  watched.gpu.requestAdapter = async (options) => (refused === "adapter" ? null : requestAdapter(options));
  return {
    gpu: watched.gpu,
    refuse: (label: string | null) => {
      refused = label;
    },
    loseDevice: () => watched.device.destroy(),
    get numLiveDevices() {
      return watched.numLiveDevices;
    },
  };
}
