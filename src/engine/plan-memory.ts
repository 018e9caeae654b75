import { type GpuAdapter, type GpuCapabilities, requestAdapter } from "../gpu/device";
import { type KvGeometry, makeKvGeometry, maxBlocksHeld } from "../kv/geometry";
import { divideMemory, type MemoryDivision, type MemoryRequest } from "../loader/divide-memory";
import { throwIfAborted } from "../loader/read-errors";
import { ropeTableBytes } from "../models/rope-table";
import { scratchBytes } from "../models/scratch";
import { normBytes } from "../models/weights";
import type { EngineConfig } from "../protocol/engine-config";
import type { MemoryPlan } from "../protocol/memory-plan";
import type { EngineInit } from "../protocol/messages";
import { encodedBytes, kvTransfersBytes } from "../runner/kv-transfers";
import { stepStateBytes } from "../runner/step-state";
import { maxUnprocessedTokens } from "../scheduler/scheduler-options";
import { type CheckpointOutline, type ReadContext, readOutline, weightFileBytes } from "./checkpoint";
import { resolveEngineConfig } from "./engine-config";
import { scratchSizes, stepSizes } from "./engine-sizes";
import { chunkBytes, hostCacheBytes } from "./make-offload";

/** All that is settled before anything is allocated. */
export interface EnginePlan {
  readonly geometry: KvGeometry;
  readonly adapter: GpuAdapter;
  readonly memory: MemoryDivision;
}

/** Rejects with `no_adapter`, and with `invalid_request` for a maxModelLen beyond the checkpoint's; see also `memory.refusal`. */
export async function planEngine(
  init: EngineInit,
  engineConfig: EngineConfig,
  outline: CheckpointOutline,
  gpu: GPU,
): Promise<EnginePlan> {
  const geometry = makeKvGeometry(outline.config, init.kvDtype ?? "f16");
  const adapter = await requestEngineAdapter(init, engineConfig, gpu);
  return { geometry, adapter, memory: divideEngineMemory(init, engineConfig, outline, geometry, adapter) };
}

/** Rejects with `no_adapter`. */
export function requestEngineAdapter(
  init: Pick<EngineInit, "adapter">,
  { useF16, useSubgroups, profile }: EngineConfig,
  gpu: GPU,
): Promise<GpuAdapter> {
  return requestAdapter(gpu, { ...init.adapter, useF16, useSubgroups, profile });
}

/**
 * Plans by config, headers and adapter alone. Rejects with what is wrong with them or with the settings, and where no
 * context fits with `out_of_memory` or `device_limit`; a context that was asked for and does not fit is told, not refused.
 */
export async function planMemory(init: EngineInit, context: ReadContext & { readonly gpu: GPU }): Promise<MemoryPlan> {
  const engineConfig = resolveEngineConfig({ kvCacheBytes: init.kvCacheBytes, ...init.engine });
  const outline = await readOutline(init, context);
  outline.files.close();
  const { geometry, adapter, memory } = await planEngine(init, engineConfig, outline, context.gpu);
  throwIfAborted(context.signal);
  if (memory.refusal && memory.longestModelLen === 0) throw memory.refusal;

  const { weightBytes, kvCacheBytes, stepStateBytes, scratchBytes, stagingBytes, gpuBytes } = memory;
  const { maxBufferBytes, maxBindingBytes, f16, subgroups } = adapter;
  return {
    modelId: outline.files.modelId,
    architecture: outline.config.architecture,
    numParameters: outline.layout.numParameters,
    downloadBytes: weightFileBytes(outline.weightMap),
    weightBytes,
    kvCacheBytes,
    kvBytesPer1000Tokens: maxBlocksHeld(geometry, 1000, maxUnprocessedTokens(engineConfig)) * geometry.pageBytes,
    stepStateBytes,
    scratchBytes,
    stagingBytes,
    gpuBytes,
    hostCacheBytes: hostCacheBytes(geometry, engineConfig),
    maxModelLen: memory.maxModelLen,
    longestModelLen: memory.longestModelLen,
    maxPositionEmbeddings: outline.config.maxPositionEmbeddings,
    device: { maxBufferBytes, maxBindingBytes, features: { f16, subgroups } },
  };
}

/**
 * See divideMemory. Not counted: uniforms, and what a step's ids are read back through; while weights stream, the piece
 * on its way.
 */
export function divideEngineMemory(
  init: Pick<EngineInit, "maxModelLen">,
  engineConfig: EngineConfig,
  outline: Pick<CheckpointOutline, "config" | "plan" | "layout">,
  geometry: KvGeometry,
  { maxBindingBytes }: Pick<GpuCapabilities, "maxBindingBytes">,
): MemoryDivision {
  return divideMemory({
    geometry,
    sizesFor: (maxModelLen) => sizesFor(engineConfig, outline, geometry, maxModelLen),
    maxBindingBytes,
    maxModelLen: init.maxModelLen ?? null,
    kvCacheBytes: engineConfig.kvCacheBytes,
    gpuMemoryBytes: engineConfig.gpuMemoryBytes,
    maxPositionEmbeddings: outline.config.maxPositionEmbeddings,
    maxNumRunning: engineConfig.maxNumRunning,
    maxUnprocessedTokens: maxUnprocessedTokens(engineConfig),
  });
}

function sizesFor(
  engineConfig: EngineConfig,
  { config, plan, layout }: Pick<CheckpointOutline, "config" | "plan" | "layout">,
  geometry: KvGeometry,
  maxModelLen: number,
): ReturnType<MemoryRequest["sizesFor"]> {
  const scratch = scratchBytes(config, scratchSizes(engineConfig, maxModelLen));
  const stepState = stepStateBytes(stepSizes(engineConfig, config, geometry, maxModelLen), config.vocabSize);
  const ropes = config.ropes.length * ropeTableBytes(config.headDim, maxModelLen);
  const { numStagingSlots, offloadEncoding } = engineConfig;
  const hasHost = hostCacheBytes(geometry, engineConfig) > 0;
  const transfers = [chunkBytes(geometry, engineConfig), numStagingSlots, offloadEncoding] as const;
  const encoded = hasHost ? encodedBytes(...transfers) : 0;
  // A matrix is cut into slices of whole pairs of rows.
  const rowPairs = [...layout.linears.values()].map(({ plan: { name }, rowBytes }) => [name, 2 * rowBytes] as const);
  const bindings = [...Object.entries({ ...scratch, ...stepState, "kv.staging.encoded": encoded }), ...rowPairs];
  const [label, bytes] = bindings.reduce((largest, other) => (other[1] > largest[1] ? other : largest));
  return {
    parts: {
      weightBytes: layout.bytes + normBytes(plan),
      stepStateBytes: sum(stepState),
      scratchBytes: sum(scratch) + ropes,
      stagingBytes: hasHost ? kvTransfersBytes(...transfers) : 0,
    },
    largest: { label, bytes },
  };
}

function sum(sizes: Readonly<Record<string, number>>): number {
  return Object.values(sizes).reduce((total, size) => total + size, 0);
}
