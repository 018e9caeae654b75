import { browserEnvironment } from "../loader/cache/cache-environment";
import { type ModelFiles, openModelFiles } from "../loader/model-files";
import { readWeightMap, type WeightMap } from "../loader/weight-map";
import type { ModelConfig } from "../models/config";
import { type GenerationDefaults, parseGenerationDefaults } from "../models/generation-defaults";
import { parseModelConfig } from "../models/parse-config";
import { weightPlan } from "../models/registry";
import { makeWeightLayout, type WeightLayout } from "../models/weight-layout";
import type { WeightPlan } from "../models/weight-plan";
import type { EngineInit, ModelSource } from "../protocol/messages";
import { ChatTemplate } from "../tokenizer/chat-template";
import { Tokenizer } from "../tokenizer/tokenizer";
import type { LoadPart } from "./lazy-parts";

/** What says which model is read, and how its weights are kept. */
export type ModelChoice = Pick<EngineInit, "model" | "quantization">;

/** What a model's config and the headers of its weights tell. */
export interface CheckpointOutline {
  readonly files: ModelFiles;
  readonly config: ModelConfig;
  readonly generation: GenerationDefaults;
  readonly weightMap: WeightMap;
  readonly plan: WeightPlan;
  readonly layout: WeightLayout;
}

/** All that is known of a model before its weights are downloaded. */
export interface Checkpoint extends CheckpointOutline {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | null;
}

export interface ReadContext {
  readonly signal: AbortSignal;
  readonly loadPart: LoadPart;
}

/** The caller closes `files`. */
export function readOutline(choice: ModelChoice, context: ReadContext): Promise<CheckpointOutline> {
  return withFiles(choice.model, context, (files) => outlineOf(files, choice, context.signal));
}

/** Reads and checks everything but the weights: of those only the headers. The caller closes `files` when the weights are read. */
export function readCheckpoint(choice: ModelChoice, context: ReadContext): Promise<Checkpoint> {
  const { signal } = context;
  return withFiles(choice.model, context, async (files) => {
    const outline = await outlineOf(files, choice, signal);
    const tokenizer = await Tokenizer.load(files, signal);
    const chatTemplate = await ChatTemplate.load(files, signal);
    return { ...outline, tokenizer, chatTemplate };
  });
}

/** The caller closes them. */
export function openFiles(source: ModelSource, loadPart: LoadPart): ModelFiles {
  const environment = browserEnvironment({
    loadDownloader: () => loadPart("download"),
    loadCacheApi: () => loadPart("cacheApi"),
  });
  return openModelFiles(source, environment);
}

/** Leaves the files open only for what could be read. */
async function withFiles<T>(
  source: ModelSource,
  { loadPart }: ReadContext,
  read: (files: ModelFiles) => Promise<T>,
): Promise<T> {
  const files = openFiles(source, loadPart);
  try {
    return await read(files);
  } catch (error) {
    files.close();
    throw error;
  }
}

async function outlineOf(
  files: ModelFiles,
  { quantization }: ModelChoice,
  signal: AbortSignal,
): Promise<CheckpointOutline> {
  const configJson = await files.readJson("config.json", { signal });
  const generationJson = await files.readJson("generation_config.json", { signal, optional: true });
  const config = parseModelConfig(configJson, generationJson);
  const plan = weightPlan(config);
  const weightMap = await readWeightMap(files, signal);
  const layout = makeWeightLayout(plan, weightMap, quantization);
  return { files, config, generation: parseGenerationDefaults(generationJson), weightMap, plan, layout };
}

/** Bytes of all files that hold weights: tensors fill a file to its end. */
export function weightFileBytes(weightMap: WeightMap): number {
  const ends = new Map<string, number>();
  for (const { file, byteOffset, byteLength } of weightMap.values()) {
    ends.set(file, Math.max(ends.get(file) ?? 0, byteOffset + byteLength));
  }
  return [...ends.values()].reduce((sum, end) => sum + end, 0);
}
