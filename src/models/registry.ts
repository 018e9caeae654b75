import type { ModelConfig } from "./config";
import { gemma3WeightPlan } from "./gemma3";
import { llamaWeightPlan } from "./llama";
import type { WeightPlan } from "./weight-plan";

const WEIGHT_PLANS: Readonly<Record<ModelConfig["architecture"], (config: ModelConfig) => WeightPlan>> = {
  llama: llamaWeightPlan,
  gemma3_text: gemma3WeightPlan,
};

export function weightPlan(config: ModelConfig): WeightPlan {
  return WEIGHT_PLANS[config.architecture](config);
}
