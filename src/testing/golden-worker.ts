import { expose } from "comlink";
import type { EngineInit } from "../protocol/messages";
import { EngineHarness } from "./engine-harness";
import type { GoldenBounds, GoldenJob, GoldenMode } from "./golden-job";

let harness: EngineHarness | null = null;

/** The test-only worker entry: the engine as users get it, with its logits in sight. */
const goldenWorker = {
  async open(init: EngineInit): Promise<void> {
    harness = await EngineHarness.open(navigator.gpu, init);
  },

  /** What is wrong, in words. */
  async check(jobs: readonly GoldenJob[], bounds: GoldenBounds, mode: GoldenMode): Promise<string[]> {
    if (!harness) throw new Error("open comes first");
    return harness.checkGoldens(jobs, bounds, mode);
  },

  close(): void {
    harness?.dispose();
    harness = null;
  },
};

export type GoldenWorker = typeof goldenWorker;

expose(goldenWorker);
