import { Buffers } from "../gpu/buffers";
import type { GpuAdapter, GpuDevice } from "../gpu/device";
import { PipelineCache } from "../gpu/pipeline-cache";
import type { KvGeometry } from "../kv/geometry";
import type { MemoryDivision } from "../loader/divide-memory";
import { throwIfAborted } from "../loader/read-errors";
import { streamWeights } from "../loader/weight-pieces";
import type { FileHash } from "../loader/weights-hash";
import { buildDecoder } from "../models/decoder";
import { allocateScratch } from "../models/scratch";
import { tensorType } from "../models/weight-layout";
import { ModelWeights } from "../models/weights";
import type { HostSlots } from "../offload/transfer-job";
import type { EngineConfig } from "../protocol/engine-config";
import { GpuModelRunner } from "../runner/gpu-model-runner";
import { allocateKvPool, kvLayerBindings } from "../runner/kv-planes";
import { KvTransfers } from "../runner/kv-transfers";
import { exactPages } from "../runner/page-codec";
import type { DeviceVerdict } from "../runner/self-test/choose-variant";
import { allocateStepState } from "../runner/step-state";
import { CairnError } from "../util/errors";
import type { CheckpointOutline } from "./checkpoint";
import { deviceVerdict } from "./device-verdict";
import { scratchSizes, stepSizes } from "./engine-sizes";
import type { LoadContext } from "./load-context";

/** What an engine's devices have in common. */
export interface DeviceModel {
  readonly checkpoint: CheckpointOutline;
  readonly geometry: KvGeometry;
  readonly maxModelLen: number;
  /** Null where nothing is offloaded. */
  readonly hostSlots: HostSlots | null;
  readonly engineConfig: EngineConfig;
}

export interface LoadedDevice {
  /** Disposing of it frees the device and all that is on it. */
  readonly runner: GpuModelRunner;
  readonly adapter: GpuDevice["adapter"];
  readonly numBlocks: number;
  /** By weight file. */
  readonly fileHashes: ReadonlyMap<string, FileHash>;
  readonly verdict: DeviceVerdict;
}

/**
 * Makes a device of the adapter and puts on it what `model` says: streams the weights while the kernels compile and, at
 * first, show what they compute. The checkpoint's files must be open. On failure nothing stays allocated. `epoch`: of the
 * device; its transfers are of this epoch alone.
 */
export async function loadDevice(
  adapter: GpuAdapter,
  model: DeviceModel,
  blocks: Pick<MemoryDivision, "numBlocks" | "minBlocks">,
  epoch: number,
  context: LoadContext,
): Promise<LoadedDevice> {
  const gpu = await adapter.requestDevice();
  try {
    return await loadOnDevice(gpu, model, blocks, epoch, context);
  } catch (error) {
    // A load that fails by itself says why, but for what the device refused.
    const isKnown = error instanceof CairnError && error.code !== "gpu_error";
    const failure = isKnown ? null : await gpu.health.failureBehind();
    gpu.device.destroy();
    throw failure ?? error;
  }
}

async function loadOnDevice(
  gpu: GpuDevice,
  { checkpoint, geometry, maxModelLen, hostSlots, engineConfig }: DeviceModel,
  { numBlocks, minBlocks }: Pick<MemoryDivision, "numBlocks" | "minBlocks">,
  epoch: number,
  context: LoadContext,
): Promise<LoadedDevice> {
  const { config, plan, layout } = checkpoint;
  const { device, maxBindingBytes } = gpu;
  // An f32 cache is asked for to be exact, so nothing else is rounded to f16 either.
  const best = { f16: gpu.f16 && geometry.dtype === "f16", subgroups: gpu.subgroups };
  const buffers = new Buffers(device);
  const pipelines = new PipelineCache(device);
  const quantization = layout.quantization && (await context.loadPart("quantization"));
  const profiling = engineConfig.profile ? await context.loadPart("profiler") : null;
  const weights = await ModelWeights.allocate(
    device,
    buffers,
    pipelines,
    config,
    plan,
    layout,
    quantization,
    maxBindingBytes,
  );
  const sizes = stepSizes(engineConfig, config, geometry, maxModelLen);
  const scratch = await allocateScratch(buffers, config, scratchSizes(engineConfig, maxModelLen));
  const pool = await allocateKvPool(buffers, geometry, numBlocks, minBlocks, maxBindingBytes);
  const state = await allocateStepState(buffers, sizes, config.vocabSize);
  const { numStagingSlots, offloadEncoding } = engineConfig;
  const int8 = hostSlots && offloadEncoding === "int8" ? await context.loadPart("int8") : null;
  const pages = int8
    ? await int8.create({ device, buffers, pipelines, pool, geometry, numStagingSlots })
    : exactPages(device, pool);
  const delayMap = context.delayMap ?? null;
  const transfers =
    hostSlots && new KvTransfers({ gpu, buffers, pages, hostSlots, geometry, numStagingSlots, epoch, delayMap });

  // Compiles that began cannot be called back, and keep the next load waiting.
  throwIfAborted(context.signal);
  const { useGemvUpToTokens: gemvUpToTokens, useFusedNorm: fusedNorm } = engineConfig;
  const subject = {
    gpu,
    pipelines,
    config,
    plan,
    matrices: weights,
    geometry,
    variant: best,
    gemvUpToTokens,
    fusedNorm,
  };
  const { verdicts, loadPart } = context;
  const judging =
    engineConfig.useSelfTest && verdicts
      ? deviceVerdict(subject, verdicts, () => loadPart("selfTest"))
      : Promise.resolve({ variant: best, warnings: [] });
  const compiling = judging.then(({ variant }) =>
    buildDecoder(
      {
        config,
        variant,
        kvType: geometry.dtype,
        buffers,
        pipelines,
        weights,
        scratch,
        kvLayers: kvLayerBindings(geometry, pool, config.layers.length, sizes),
        ...state,
        maxModelLen,
        gemvUpToTokens,
        fusedNorm,
      },
      plan,
    ),
  );
  compiling.catch(() => {}); // Reported below, after the upload.
  const fileHashes = await uploadWeights(gpu, checkpoint, weights, engineConfig, context);
  context.onProgress({ phase: "compile", loaded: layout.bytes, total: layout.bytes });
  const stages = await compiling;
  const verdict = await judging;
  const runner = await GpuModelRunner.create({
    gpu,
    buffers,
    pipelines,
    variant: verdict.variant,
    sizes,
    state,
    stages,
    logits: scratch.logits,
    vocabSize: config.vocabSize,
    submitTargetMs: engineConfig.submitTargetMs,
    maxInFlightSteps: engineConfig.maxInFlightSteps,
    transfers,
    profiler: profiling && new profiling.Profiler(gpu, buffers),
    drawStep: profiling?.drawStep ?? null,
    loadLogitStages: () => loadPart("logitStages"),
    observeLogits: context.observeLogits ?? null,
    observeSteps: context.observeSteps ?? null,
  });
  await device.queue.onSubmittedWorkDone();
  gpu.health.throwIfFailed();
  throwIfAborted(context.signal);
  return { runner, adapter: gpu.adapter, numBlocks: pool.numBlocks, fileHashes, verdict };
}

/** Returns the hashes of the files' content. */
async function uploadWeights(
  { device, health }: GpuDevice,
  { files, weightMap, layout }: CheckpointOutline,
  weights: ModelWeights,
  { maxPieceBytes }: EngineConfig,
  { signal, onProgress }: LoadContext,
): Promise<Map<string, FileHash>> {
  const weightFiles = [...layout.tensors].flatMap((name) => weightMap.get(name)?.file ?? []);
  await files.fetchAll([...new Set(weightFiles)], {
    signal,
    onProgress: (bytes) => onProgress({ phase: "download", ...bytes }),
  });
  const hashes = new Map<string, FileHash>();
  const pieces = streamWeights(files, weightMap, {
    names: layout.tensors,
    maxPieceBytes,
    signal,
    onProgress: (file, loaded, total) => onProgress({ phase: "weights", file, loaded, total }),
    onFileHash: (file, hash) => hashes.set(file, hash),
  });
  for await (const piece of pieces) {
    weights.upload(piece, tensorType(piece.tensor));
    // Keeps at most one piece in the queue, so that a fast download does not pile up in memory.
    await device.queue.onSubmittedWorkDone();
    health.throwIfFailed();
  }
  weights.finish();
  return hashes;
}
