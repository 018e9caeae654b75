import { describe, expect, it, vi } from "vitest";
import type { EngineInit } from "../protocol/messages";
import { engineOver, generateGreedy } from "../testing/engine-over";
import { openDawnGpu } from "../testing/gpu";
import { LARGE_SHAPE, withLargeCheckpoint } from "../testing/large-checkpoint";
import { loadPart } from "../testing/lazy-parts";
import { WatchedGpu } from "../testing/watched-gpu";
import { loadEngineParts } from "./load-engine";
import { planMemory } from "./plan-memory";

const dawn = await openDawnGpu();
const signal = new AbortController().signal;

/** One of WebGPU's default limits, and less than a quarter of what embedding and head take. */
const MAX_BINDING_BYTES = 2 ** 27;
const HEAD_BYTES = 2 * LARGE_SHAPE.vocabSize * LARGE_SHAPE.hiddenSize;

const initFor = (url: string): EngineInit => ({
  model: { kind: "url", url },
  maxModelLen: 256,
  engine: { useGemvUpToTokens: 1, maxNumRunning: 2, maxNumBatchedTokens: 64, useHostCache: false },
});

describe.skipIf(!dawn)("a checkpoint of more than 4 GiB with a head over the binding limit", () => {
  const gpu = new WatchedGpu(dawn as GPU, { maxBindingBytes: MAX_BINDING_BYTES });

  it("is planned by its headers, in slices", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    await withLargeCheckpoint(async (url, { weightFileBytes, numParameters }) => {
      const plan = await planMemory(initFor(url), { gpu: gpu.gpu, signal, loadPart });
      expect(plan).toMatchObject({ downloadBytes: weightFileBytes, numParameters, maxModelLen: 256 });
      expect(weightFileBytes).toBeGreaterThan(2 ** 32);
      expect(HEAD_BYTES).toBeGreaterThan(4 * MAX_BINDING_BYTES);
      // Norms are f32 on the GPU.
      const normBytes = 2 * LARGE_SHAPE.hiddenSize * (2 * LARGE_SHAPE.numLayers + 1);
      expect(plan.weightBytes).toBe(2 * numParameters + normBytes);
      const weightRequests = fetched.mock.calls.filter(([target]) => String(target).endsWith(".safetensors"));
      expect(weightRequests.map(([, options]) => new Headers(options?.headers).get("range"))).toEqual([
        "bytes=0-262143",
      ]);
    });
    expect(gpu.devices).toEqual([]);
  });

  it.runIf(process.env.CAIRN_SOAK)("loads through slices, and each row is where it belongs", async () => {
    await withLargeCheckpoint(async (url, { chain }) => {
      const plan = await planMemory(initFor(url), { gpu: gpu.gpu, signal, loadPart });
      const parts = await loadEngineParts(initFor(url), { gpu: gpu.gpu, signal, onProgress: () => {}, loadPart });
      expect(gpu.bufferLabels.filter((label) => label === "head")).toHaveLength(HEAD_BYTES / MAX_BINDING_BYTES);
      expect(parts.info.weightBytes).toBe(plan.weightBytes);
      const { engine } = engineOver(parts, {});
      const { tokenIds } = await generateGreedy(engine, chain.slice(0, 1), { maxTokens: chain.length - 1 });
      expect(tokenIds).toEqual(chain.slice(1));
      engine.dispose();
    });
  });
});
