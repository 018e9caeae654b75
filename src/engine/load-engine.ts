import { Buffers } from "../gpu/buffers";
import type { GpuDevice } from "../gpu/device";
import { PipelineCache } from "../gpu/pipeline-cache";
import type { KvGeometry } from "../kv/geometry";
import type { MemoryDivision } from "../loader/divide-memory";
import { throwIfAborted } from "../loader/read-errors";
import { streamWeights } from "../loader/weight-pieces";
import { hashWeights } from "../loader/weights-hash";
import type { BuildContext } from "../models/build-context";
import { buildDecoder } from "../models/decoder";
import { allocateScratch } from "../models/scratch";
import { tensorType } from "../models/weight-layout";
import { ModelWeights } from "../models/weights";
import type { HostSlots } from "../offload/transfer-job";
import type { EngineConfig } from "../protocol/engine-config";
import type { EngineInfo, EngineInit, LoadProgress } from "../protocol/messages";
import { GpuModelRunner, type LogitsObserver } from "../runner/gpu-model-runner";
import { allocateKvPool, kvLayerBindings } from "../runner/kv-planes";
import { KvTransfers } from "../runner/kv-transfers";
import { exactPages } from "../runner/page-codec";
import type { DeviceVerdict } from "../runner/self-test/choose-variant";
import type { DelayMap } from "../runner/staging-ring";
import { allocateStepState } from "../runner/step-state";
import type { StepObserver } from "../runner/step-trace";
import { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOptions } from "../scheduler/scheduler-options";
import { endOfTurnIds } from "../tokenizer/chat-template";
import { reasonOf } from "../util/errors";
import { type Checkpoint, readCheckpoint } from "./checkpoint";
import { constrainWith } from "./constrain";
import { deviceVerdict, type VerdictMemory } from "./device-verdict";
import { Engine } from "./engine";
import { resolveEngineConfig } from "./engine-config";
import type { EngineParts } from "./engine-parts";
import { makeSchedulerOptions, scratchSizes, stepSizes } from "./engine-sizes";
import { kvFingerprint } from "./kv-fingerprint";
import type { LoadPart } from "./lazy-parts";
import { makeHostMemory, makeOffload, type Offload } from "./make-offload";
import { planEngine } from "./plan-memory";

export interface LoadContext {
  readonly gpu: GPU;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
  readonly loadPart: LoadPart;
  /** Remembers the self-test's verdicts; left out, the device is not tested. */
  readonly verdicts?: VerdictMemory;
  /** Sees the logits of every step; for tests. */
  readonly observeLogits?: LogitsObserver;
  /** Holds back the map of every store; for tests. */
  readonly delayMap?: DelayMap;
  /** Sees every step being submitted and landing; for tests. */
  readonly observeSteps?: StepObserver;
}

export interface LoadedParts extends EngineParts {
  readonly offload: Offload | null;
  /** What `scheduler` was made from. */
  readonly schedulerOptions: SchedulerOptions;
  readonly engineConfig: EngineConfig;
  readonly kvFingerprint: string;
}

/**
 * Makes a running engine: reads what is small, checks that all fits, then streams the weights to the GPU while the
 * kernels compile. On failure or abort nothing stays allocated. Rejects with what is wrong with the files, the settings
 * or the device, and with `aborted`.
 */
export async function loadEngine(init: EngineInit, context: LoadContext): Promise<Engine> {
  return new Engine(await loadEngineParts(init, context));
}

/** What an engine is made of, for tests that make several over one runner; see loadEngine. */
export async function loadEngineParts(init: EngineInit, context: LoadContext): Promise<LoadedParts> {
  const engineConfig = resolveEngineConfig({ kvCacheBytes: init.kvCacheBytes, ...init.engine });
  context.onProgress({ phase: "config", loaded: 0, total: 0 });
  const checkpoint = await readCheckpoint(init, context);
  try {
    return await loadCheckpoint(checkpoint, init, engineConfig, context);
  } finally {
    checkpoint.files.close();
  }
}

async function loadCheckpoint(
  checkpoint: Checkpoint,
  init: EngineInit,
  engineConfig: EngineConfig,
  context: LoadContext,
): Promise<LoadedParts> {
  context.onProgress({ phase: "device", loaded: 0, total: 0 });
  const { geometry, adapter, memory } = await planEngine(init, engineConfig, checkpoint, context.gpu);
  if (memory.refusal) throw memory.refusal;
  const gpu = await adapter.requestDevice();
  try {
    return await loadOnDevice(gpu, checkpoint, geometry, memory, engineConfig, context, init.namespace ?? "");
  } catch (error) {
    gpu.device.destroy();
    throw error;
  }
}

async function loadOnDevice(
  gpu: GpuDevice,
  checkpoint: Checkpoint,
  geometry: KvGeometry,
  memory: MemoryDivision,
  engineConfig: EngineConfig,
  context: LoadContext,
  namespace: string,
): Promise<LoadedParts> {
  const { config, layout, tokenizer, chatTemplate, generation } = checkpoint;
  // An f32 cache is asked for to be exact, so nothing else is rounded to f16 either.
  const best = { f16: gpu.f16 && geometry.dtype === "f16", subgroups: gpu.subgroups };
  const hostMemory = makeHostMemory(geometry, engineConfig);
  const loadingStorage = hostMemory && engineConfig.useStorage ? context.loadPart("storage").catch(reasonOf) : null;
  const made = await makeRunner(gpu, best, checkpoint, geometry, memory, hostMemory, engineConfig, context);
  const { runner, numBlocks, weightsHash, verdict } = made;
  const { maxModelLen, weightBytes } = memory;
  const schedulerOptions = makeSchedulerOptions(engineConfig, geometry, numBlocks, maxModelLen);
  const quantization = layout.quantization ?? null;
  const encoding = engineConfig.offloadEncoding;
  const fingerprint = kvFingerprint({ weightsHash, quantization, config, geometry, encoding });
  const part = await loadingStorage;
  const warnings = typeof part === "string" ? [`KV is not kept beyond the page: ${part}`] : [];
  const storage = part && typeof part !== "string" ? { ...part, namespace, fingerprint } : null;
  const now = () => performance.now();
  const evictionPolicy = engineConfig.hostEvictionPolicy === "arc" ? await context.loadPart("arc") : "lru";
  const offload =
    hostMemory && makeOffload(hostMemory, geometry, numBlocks, engineConfig, evictionPolicy, now, storage);
  const endOfTurn = chatTemplate ? endOfTurnIds(tokenizer, chatTemplate) : [];
  const eosTokenIds = [...new Set([...config.eosTokenIds, ...endOfTurn])];
  context.onProgress({ phase: "ready", loaded: layout.bytes, total: layout.bytes });
  return {
    info: engineInfo(gpu, verdict, checkpoint, geometry, { numBlocks, maxModelLen, weightBytes }, warnings),
    scheduler: new Scheduler(schedulerOptions, offload ? [offload.connector] : []),
    schedulerOptions,
    engineConfig,
    kvFingerprint: fingerprint,
    runner,
    geometry,
    offload,
    tokenizer,
    chatTemplate,
    eosTokenIds,
    samplingDefaults: generation,
    maxModelLen,
    weightsHash,
    constrain: constrainWith(async () => {
      const makeGrammars = await context.loadPart("grammar");
      return makeGrammars({ tokenizer, size: config.vocabSize, stopIds: eosTokenIds });
    }),
  };
}

/** Allocates everything, then streams the weights while the kernels compile and, at first, show what they compute. */
async function makeRunner(
  gpu: GpuDevice,
  best: BuildContext["variant"],
  checkpoint: Checkpoint,
  geometry: KvGeometry,
  { maxModelLen, numBlocks, minBlocks }: MemoryDivision,
  hostSlots: HostSlots | null,
  engineConfig: EngineConfig,
  context: LoadContext,
): Promise<{ runner: GpuModelRunner; numBlocks: number; weightsHash: string; verdict: DeviceVerdict }> {
  const { config, plan, layout } = checkpoint;
  const { device, maxBindingBytes } = gpu;
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
    hostSlots && new KvTransfers({ gpu, buffers, pages, hostSlots, geometry, numStagingSlots, epoch: 0, delayMap });

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
  const weightsHash = await uploadWeights(gpu, checkpoint, weights, engineConfig, context);
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
  return { runner, numBlocks: pool.numBlocks, weightsHash, verdict };
}

function engineInfo(
  { adapter }: GpuDevice,
  verdict: DeviceVerdict,
  { files, config, layout, chatTemplate, generation }: Checkpoint,
  geometry: KvGeometry,
  { numBlocks, maxModelLen, weightBytes }: Pick<MemoryDivision, "numBlocks" | "maxModelLen" | "weightBytes">,
  warnings: readonly string[],
): EngineInfo {
  return {
    modelId: files.modelId,
    architecture: config.architecture,
    numParameters: layout.numParameters,
    weightBytes,
    quantization: layout.quantization ?? "none",
    vocabSize: config.vocabSize,
    maxModelLen,
    kvDtype: geometry.dtype,
    kvCacheBytes: numBlocks * geometry.pageBytes,
    numBlocks,
    hasChatTemplate: chatTemplate !== null,
    toolFormat: chatTemplate?.toolFormat ?? "json",
    hasSystemRole: chatTemplate?.hasSystemRole ?? false,
    hasReasoning: chatTemplate?.hasReasoning ?? false,
    adapter,
    features: verdict.variant,
    warnings: [
      ...verdict.warnings,
      ...warnings,
      ...files.warnings,
      ...generation.unsupportedFields.map(
        (field) => `generation_config.json sets ${field}, which Cairn does not apply yet.`,
      ),
    ],
  };
}

/** Returns the hash of the files' content. */
async function uploadWeights(
  { device, health }: GpuDevice,
  { files, weightMap, layout }: Checkpoint,
  weights: ModelWeights,
  { maxPieceBytes }: EngineConfig,
  { signal, onProgress }: LoadContext,
): Promise<string> {
  const weightFiles = [...layout.tensors].flatMap((name) => weightMap.get(name)?.file ?? []);
  await files.fetchAll([...new Set(weightFiles)], {
    signal,
    onProgress: (bytes) => onProgress({ phase: "download", ...bytes }),
  });
  const hashes = new Map<string, string>();
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
  return hashWeights(hashes);
}
