import type { KvGeometry } from "../kv/geometry";
import { type MemoryPlan, planMemory } from "../loader/memory-plan";
import type { ModelConfig } from "../models/config";
import { type ScratchSizes, scratchBytes } from "../models/scratch";
import type { EngineConfig } from "../protocol/engine-config";
import type { EngineInit } from "../protocol/messages";
import { kvTransfersBytes } from "../runner/kv-transfers";
import { type StepBufferSizes, stepBufferSizes } from "../runner/step-buffer";
import { stepStateBytes } from "../runner/step-state";
import { maxUnprocessedTokens, type SchedulerOptions } from "../scheduler/scheduler-options";
import type { Checkpoint } from "./checkpoint";
import { hostCacheBytes } from "./make-offload";

/** Divides the GPU's memory; see planMemory for what it throws. */
export function makeMemoryPlan(
  init: EngineInit,
  engineConfig: EngineConfig,
  { config, layout }: Checkpoint,
  geometry: KvGeometry,
): MemoryPlan {
  return planMemory({
    geometry,
    weightBytes: layout.bytes,
    scratchBytes: (maxModelLen) =>
      scratchBytes(config, scratchSizes(engineConfig, maxModelLen)) +
      stepStateBytes(stepSizes(engineConfig, config, geometry, maxModelLen), config.vocabSize) +
      (hostCacheBytes(engineConfig) > 0 ? kvTransfersBytes(geometry, engineConfig.numStagingSlots) : 0),
    maxModelLen: init.maxModelLen ?? null,
    kvCacheBytes: engineConfig.kvCacheBytes,
    gpuMemoryBytes: engineConfig.gpuMemoryBytes,
    maxPositionEmbeddings: config.maxPositionEmbeddings,
    maxNumRunning: engineConfig.maxNumRunning,
    maxUnprocessedTokens: maxUnprocessedTokens(engineConfig),
  });
}

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
  const { usePrefixCache, admissionWatermark } = engineConfig;
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
  };
}
