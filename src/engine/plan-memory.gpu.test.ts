import { existsSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import type { MemoryPlan } from "../protocol/memory-plan";
import type { EngineInit, ModelSource } from "../protocol/messages";
import { filesSource, readModelDir } from "../testing/demo-model";
import { openDawnGpu } from "../testing/gpu";
import { loadPart } from "../testing/lazy-parts";
import { DEMO_MODEL } from "../testing/test-engine";
import { makeTinyGemma, tinyGemmaFiles } from "../testing/tiny-gemma";
import { WatchedGpu } from "../testing/watched-gpu";
import { loadEngine } from "./load-engine";
import { planMemory } from "./plan-memory";

const dawn = await openDawnGpu();

const STORIES = "../shared/models/stories260K/hf";
const hasStories = existsSync(STORIES);
if (!hasStories) console.warn("SKIPPED: plans of stories260K (no ../shared/models beside the repository)");

const signal = new AbortController().signal;
/** Without the GEMVs over several tokens a software adapter is ready sooner; no buffer's size depends on them. */
const FEW_KERNELS = { useGemvUpToTokens: 1 };

interface PlannedCase {
  readonly name: string;
  readonly model: () => ModelSource;
  readonly init?: Omit<EngineInit, "model">;
  readonly maxBindingBytes?: number;
}

const stories = () => filesSource(readModelDir(STORIES));

/** Five layers of windows, fed with ids; an engine wants a tokenizer, whichever. */
function gemma(): ModelSource {
  const layerTypes = [...new Array(4).fill("sliding_attention"), "full_attention"];
  const files = tinyGemmaFiles(makeTinyGemma({ seed: 3, residualScale: 1, layerTypes }));
  const named = Object.fromEntries(files.map(({ name, bytes }) => [name, bytes]));
  return filesSource({ ...named, "tokenizer.json": DEMO_MODEL["tokenizer.json"] });
}

const CASES: readonly PlannedCase[] = [
  { name: "the embedded model", model: () => filesSource(DEMO_MODEL) },
  {
    name: "windows, a short context and few steps of few tokens",
    model: gemma,
    init: { maxModelLen: 301, engine: { maxNumRunning: 3, maxNumBatchedTokens: 40, numStagingSlots: 5 } },
  },
  {
    name: "int8 below the GPU",
    model: gemma,
    init: { maxModelLen: 301, engine: { numStagingSlots: 5, offloadEncoding: "int8" } },
  },
  {
    name: "slices and planes under a small binding limit",
    model: () => filesSource(DEMO_MODEL),
    init: { engine: { maxNumRunning: 13, maxNumBatchedTokens: 96 } },
    maxBindingBytes: 400_000,
  },
  ...(hasStories
    ? [
        { name: "stories260K", model: stories },
        {
          name: "stories260K with an f32 KV cache of a set size and none in RAM",
          model: stories,
          init: { kvDtype: "f32", kvCacheBytes: 900_000, engine: { useHostCache: false } },
        } as const,
      ]
    : []),
];

/** The parts of a plan, added up from the labels of buffers; the rest is not planned. */
function partsOf(bytesByLabel: ReadonlyMap<string, number>): Record<keyof typeof PART_LABELS | "rest", number> {
  const sums = { weightBytes: 0, kvCacheBytes: 0, stepStateBytes: 0, scratchBytes: 0, stagingBytes: 0, rest: 0 };
  for (const [label, bytes] of bytesByLabel) {
    const part = Object.entries(PART_LABELS).find(([, pattern]) => pattern.test(label));
    sums[(part?.[0] ?? "rest") as keyof typeof sums] += bytes;
  }
  return sums;
}

const PART_LABELS = {
  weightBytes: /^(norms|embedding|head|layer\d+\.\w+)$/,
  kvCacheBytes: /^kv\.plane/,
  stepStateBytes: /^(step|block_tables|rows|last_ids|token_counts|biases|masks)$/,
  scratchBytes: /^(scratch\.|rope\d+$)/,
  stagingBytes: /^kv\.staging/,
};

describe.skipIf(!dawn)("planMemory", () => {
  const watched: WatchedGpu[] = [];
  afterAll(() => expect(watched.map(({ numLiveDevices }) => numLiveDevices)).toEqual(watched.map(() => 0)));

  it.each(CASES)("tells what the engine then takes: $name", async ({ model, init, maxBindingBytes }) => {
    const gpu = new WatchedGpu(dawn as GPU, { maxBindingBytes });
    watched.push(gpu);
    const source = { ...init, model: model(), engine: { ...FEW_KERNELS, ...init?.engine } };
    const plan = await planMemory(source, { gpu: gpu.gpu, signal, loadPart });
    expect(gpu.devices).toEqual([]);

    const engine = await loadEngine(source, { gpu: gpu.gpu, signal, onProgress: () => {}, loadPart });
    const { rest, ...parts } = partsOf(gpu.bytesByLabel);
    const { info } = engine;
    engine.dispose();
    await gpu.device.lost;
    expect(plan).toMatchObject(parts);
    expect(plan.gpuBytes).toBe(Object.values(parts).reduce((sum, bytes) => sum + bytes));
    // Uniforms, and what ids are read back through.
    expect(rest).toBeLessThan(0.01 * plan.gpuBytes);
    const { modelId, architecture, numParameters, weightBytes, kvCacheBytes, maxModelLen } = info;
    expect(plan).toMatchObject({ modelId, architecture, numParameters, weightBytes, kvCacheBytes, maxModelLen });
    const { features, limits } = gpu.device;
    expect(plan.device).toEqual({
      maxBufferBytes: limits.maxBufferSize,
      maxBindingBytes: maxBindingBytes ?? limits.maxStorageBufferBindingSize,
      features: { f16: features.has("shader-f16"), subgroups: features.has("subgroups") },
    });
    expect(plan.longestModelLen).toBeGreaterThanOrEqual(maxModelLen);
  });

  it("refuses staging slots that as int8 are more than one binding holds", async () => {
    const gpu = new WatchedGpu(dawn as GPU, { maxBindingBytes: 4_000_000 });
    watched.push(gpu);
    const plan = (offloadEncoding: "exact" | "int8") => {
      const init = { model: filesSource(DEMO_MODEL), engine: { numStagingSlots: 256, offloadEncoding } };
      return planMemory(init, { gpu: gpu.gpu, signal, loadPart });
    };
    await expect(plan("exact")).resolves.toMatchObject({ maxModelLen: expect.any(Number) });
    // 256 chunks of two pages: 256 vectors each, of 64 elements and a scale.
    await expect(plan("int8")).rejects.toMatchObject({ code: "device_limit", data: { needed: 256 * 2 * 128 * 68 } });
  });

  it("tells the numbers of a context that does not fit, which the engine refuses with the same", async () => {
    const gpu = new WatchedGpu(dawn as GPU);
    watched.push(gpu);
    const init = { model: filesSource(DEMO_MODEL), maxModelLen: 1024, engine: { gpuMemoryBytes: 13_000_000 } };
    const plan = await planMemory(init, { gpu: gpu.gpu, signal, loadPart });
    expect(plan).toMatchObject({ maxModelLen: 1024, longestModelLen: expect.any(Number) });
    expect(plan.longestModelLen).toBeGreaterThan(0);
    expect(plan.longestModelLen).toBeLessThan(1024);
    const { weightBytes, kvCacheBytes, stepStateBytes, scratchBytes, stagingBytes, gpuBytes, longestModelLen } = plan;
    const context = { gpu: gpu.gpu, signal, onProgress: () => {}, loadPart };
    const parts = { weightBytes, kvCacheBytes, stepStateBytes, scratchBytes, stagingBytes };
    await expect(loadEngine(init, context)).rejects.toMatchObject({
      code: "out_of_memory",
      data: { neededBytes: gpuBytes, availableBytes: 13_000_000, ...parts, maxModelLen: 1024, longestModelLen },
    });
    expect(gpu.devices).toEqual([]);
    const fitting: MemoryPlan = await planMemory(
      { ...init, maxModelLen: longestModelLen },
      { gpu: gpu.gpu, signal, loadPart },
    );
    expect(fitting.gpuBytes).toBeLessThanOrEqual(13_000_000);
  });
});
