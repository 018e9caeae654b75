import type { KvGeometry } from "../kv/geometry";
import type { ModelConfig } from "../models/config";
import type { ScratchSizes } from "../models/scratch";
import type { EngineConfig } from "../protocol/engine-config";
import { type StepBufferSizes, stepBufferSizes } from "../runner/step-buffer";
import type { SchedulerOptions } from "../scheduler/scheduler-options";

export function scratchSizes(engineConfig: EngineConfig, maxModelLen: number): ScratchSizes {
  return { maxTokens: engineConfig.maxNumBatchedTokens, maxRows: engineConfig.maxNumRunning, maxModelLen };
}

/** Sizes of the step state on the GPU. */
export function stepSizes(
  engineConfig: EngineConfig,
  config: ModelConfig,
  geometry: KvGeometry,
  maxModelLen: number,
): StepBufferSizes {
  const { useGemvUpToTokens } = engineConfig;
  return stepBufferSizes(config, geometry, scratchSizes(engineConfig, maxModelLen), useGemvUpToTokens);
}

export function makeSchedulerOptions(
  engineConfig: EngineConfig,
  geometry: KvGeometry,
  numBlocks: number,
  maxModelLen: number,
): SchedulerOptions {
  const { maxNumRunning, maxNumBatchedTokens, maxPrefillChunkTokens, maxInFlightSteps } = engineConfig;
  const { usePrefixCache, admissionWatermark, offloadEncoding } = engineConfig;
  return {
    geometry,
    numBlocks,
    maxNumRunning,
    maxNumBatchedTokens,
    maxPrefillChunkTokens,
    maxModelLen,
    maxInFlightSteps,
    usePrefixCache,
    admissionWatermark,
    lossyEncoding: offloadEncoding === "exact" ? undefined : offloadEncoding,
  };
}
