import { type ModelFiles, openModelFiles } from "../loader/model-files";
import { readWeightMap, type WeightMap } from "../loader/weight-map";
import type { ModelConfig } from "../models/config";
import { type GenerationDefaults, parseGenerationDefaults } from "../models/generation-defaults";
import { parseModelConfig } from "../models/parse-config";
import { weightPlan } from "../models/registry";
import { makeWeightLayout, type WeightLayout } from "../models/weight-layout";
import type { WeightPlan } from "../models/weight-plan";
import type { ModelSource } from "../protocol/messages";
import { ChatTemplate } from "../tokenizer/chat-template";
import { Tokenizer } from "../tokenizer/tokenizer";

/** All that is known of a model before its weights are downloaded. */
export interface Checkpoint {
  readonly files: ModelFiles;
  readonly config: ModelConfig;
  readonly generation: GenerationDefaults;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | null;
  readonly weightMap: WeightMap;
  readonly plan: WeightPlan;
  readonly layout: WeightLayout;
}

/** Reads and checks everything but the weights: of those only the headers. The caller closes `files` when the weights are read. */
export async function readCheckpoint(source: ModelSource, signal: AbortSignal): Promise<Checkpoint> {
  const files = openModelFiles(source);
  try {
    return await readFiles(files, signal);
  } catch (error) {
    files.close();
    throw error;
  }
}

async function readFiles(files: ModelFiles, signal: AbortSignal): Promise<Checkpoint> {
  const configJson = await files.readJson("config.json", { signal });
  const generationJson = await files.readJson("generation_config.json", { signal, optional: true });
  const config = parseModelConfig(configJson, generationJson);
  const plan = weightPlan(config);
  const weightMap = await readWeightMap(files, signal);
  const layout = makeWeightLayout(plan, weightMap);
  const tokenizer = await Tokenizer.load(files, signal);
  const chatTemplate = await ChatTemplate.load(files, signal);
  const generation = parseGenerationDefaults(generationJson);
  return { files, config, generation, tokenizer, chatTemplate, weightMap, plan, layout };
}
