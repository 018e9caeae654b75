import type { KvGeometry } from "../kv/geometry";
import type { MemoryDivision } from "../loader/divide-memory";
import { hashWeights } from "../loader/weights-hash";
import type { EngineConfig } from "../protocol/engine-config";
import type { EngineInfo, EngineInit } from "../protocol/messages";
import { Scheduler } from "../scheduler/scheduler";
import type { SchedulerOptions } from "../scheduler/scheduler-options";
import { endOfTurnIds } from "../tokenizer/chat-template";
import { reasonOf } from "../util/errors";
import { type Checkpoint, readCheckpoint } from "./checkpoint";
import { constrainWith } from "./constrain";
import { Engine } from "./engine";
import { resolveEngineConfig } from "./engine-config";
import type { EngineParts } from "./engine-parts";
import { makeSchedulerOptions } from "./engine-sizes";
import { kvFingerprint } from "./kv-fingerprint";
import type { LoadContext } from "./load-context";
import { type LoadedDevice, loadDevice } from "./load-device";
import { makeHostMemory, makeOffload, type Offload } from "./make-offload";
import { planEngine } from "./plan-memory";
import { rebuildRunnerFor } from "./rebuild-runner";

export interface LoadedParts extends EngineParts {
  readonly offload: Offload | null;
  /** What `scheduler` was made from. */
  readonly schedulerOptions: SchedulerOptions;
  readonly engineConfig: EngineConfig;
  readonly kvFingerprint: string;
}

/**
 * Makes a running engine: reads what is small, checks that all fits, then loads a device (load-device.ts). On failure or
 * abort nothing stays allocated. Rejects with what is wrong with the files, the settings or the device, and with `aborted`.
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
  const { maxModelLen } = memory;
  const hostMemory = makeHostMemory(geometry, engineConfig);
  const loadingStorage = hostMemory && engineConfig.useStorage ? context.loadPart("storage").catch(reasonOf) : null;
  const model = { checkpoint, geometry, maxModelLen, hostSlots: hostMemory, engineConfig };
  const device = await loadDevice(adapter, model, memory, 0, context);
  try {
    const { numBlocks } = device;
    const { config, layout, tokenizer, chatTemplate, generation } = checkpoint;
    const weightsHash = hashWeights(device.fileHashes);
    const quantization = layout.quantization ?? null;
    const encoding = engineConfig.offloadEncoding;
    const fingerprint = kvFingerprint({ weightsHash, quantization, config, geometry, encoding });
    const part = await loadingStorage;
    const warnings = typeof part === "string" ? [`KV is not kept beyond the page: ${part}`] : [];
    const storage = part && typeof part !== "string" ? { ...part, namespace: init.namespace ?? "", fingerprint } : null;
    const now = () => performance.now();
    const evictionPolicy = engineConfig.hostEvictionPolicy === "arc" ? await context.loadPart("arc") : "lru";
    const offload =
      hostMemory && makeOffload(hostMemory, geometry, numBlocks, engineConfig, evictionPolicy, now, storage);
    const schedulerOptions = makeSchedulerOptions(engineConfig, geometry, numBlocks, maxModelLen);
    const endOfTurn = chatTemplate ? endOfTurnIds(tokenizer, chatTemplate) : [];
    const eosTokenIds = [...new Set([...config.eosTokenIds, ...endOfTurn])];
    context.onProgress({ phase: "ready", loaded: layout.bytes, total: layout.bytes });
    return {
      info: engineInfo(device, checkpoint, geometry, memory, warnings),
      scheduler: new Scheduler(schedulerOptions, offload ? [offload.connector] : []),
      schedulerOptions,
      engineConfig,
      kvFingerprint: fingerprint,
      runner: device.runner,
      rebuildRunner: rebuildRunnerFor(init, model, device, context),
      maxDeviceLosses: engineConfig.maxDeviceLosses,
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
  } catch (error) {
    device.runner.dispose();
    throw error;
  }
}

function engineInfo(
  { adapter, verdict, numBlocks }: LoadedDevice,
  { files, config, layout, chatTemplate, generation }: Checkpoint,
  geometry: KvGeometry,
  { maxModelLen, weightBytes }: Pick<MemoryDivision, "maxModelLen" | "weightBytes">,
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
