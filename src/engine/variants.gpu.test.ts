import { afterEach, describe, expect, it } from "vitest";
import type { EngineInit } from "../protocol/messages";
import { filesSource, readDemoModel } from "../testing/demo-model";
import { EngineHarness } from "../testing/engine-harness";
import { GOLDEN_BOUNDS, SINGLE_MODE } from "../testing/golden-job";
import { loadGoldenJobs } from "../testing/goldens";
import { openDawnGpu } from "../testing/gpu";
import { Random } from "../testing/random";
import { referenceJob } from "../testing/reference-job";
import { ReferenceModel } from "../testing/reference-model";
import { makeTinyGemma, tinyGemmaFiles } from "../testing/tiny-gemma";
import { WatchedGpu } from "../testing/watched-gpu";

const gpu = (await openDawnGpu()) as GPU;
const DEMO = readDemoModel();
const [GREETING] = (loadGoldenJobs().get("cairn-stories-3M")?.jobs ?? []).filter(
  ({ promptIds }) => promptIds.length < 16,
);

describe.skipIf(!gpu)("an engine set up otherwise gives the same ids and logits", () => {
  let harness: EngineHarness;
  afterEach(() => harness.dispose());

  async function open(init: Partial<EngineInit>, on: GPU = gpu): Promise<void> {
    harness = await EngineHarness.open(on, { model: filesSource(DEMO), ...init });
  }

  it.each([
    { useFusedNorm: false, useSubgroups: false },
    { useGemvUpToTokens: 0, useF16: false },
  ])("with $0", async (engine) => {
    await open({ engine });
    expect(await harness.checkGoldens([GREETING], GOLDEN_BOUNDS.f16, SINGLE_MODE)).toEqual([]);
  });

  it("with every matrix in several slices and the KV cache in two planes", async () => {
    const watched = new WatchedGpu(gpu, { maxBindingBytes: 200_000 });
    await open({ maxModelLen: 64, engine: { maxNumRunning: 1, maxNumBatchedTokens: 16 } }, watched.gpu);
    expect(await harness.checkGoldens([GREETING], GOLDEN_BOUNDS.f16, SINGLE_MODE)).toEqual([]);
    const labels = watched.bufferLabels;
    expect(labels.filter((label) => label === "embedding").length).toBe(4);
    expect(labels.filter((label) => label === "layer0.gate_up").length).toBe(3);
    expect(labels.filter((label) => label.startsWith("kv.plane"))).toEqual(["kv.plane0", "kv.plane1"]);
  });

  it("with a residual stream past the range of f16", async () => {
    const gemma = makeTinyGemma({ seed: 3, residualScale: 1e5 });
    const reference = ReferenceModel.fromTensors(gemma.config, gemma.tensors);
    const random = new Random(5);
    const longerThanTheWindow = Array.from({ length: 45 }, () => random.int(3, 255));
    const job = referenceJob("hot Gemma", reference, longerThanTheWindow, 12);
    expect(reference.maxAbsResidual).toBeGreaterThan(1e5);
    const files = Object.fromEntries(tinyGemmaFiles(gemma).map(({ name, bytes }) => [name, bytes]));
    // Ids are all that the test gives and takes, but an engine wants a tokenizer.
    const model = filesSource({ ...files, "tokenizer.json": DEMO["tokenizer.json"] });
    for (const kvDtype of ["f32", "f16"] as const) {
      await open({ model, kvDtype, engine: { useGemvUpToTokens: 1 } });
      expect(await harness.checkGoldens([job], GOLDEN_BOUNDS[kvDtype], SINGLE_MODE)).toEqual([]);
      if (kvDtype === "f32") harness.dispose();
    }
  });
});
