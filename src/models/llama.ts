import type { ModelConfig } from "./config";
import { decoderWeightPlan, type WeightPlan } from "./weight-plan";

/** Llama 2 and 3, SmolLM2, TinyLlama: one norm before attention, one before the MLP. */
export function llamaWeightPlan(config: ModelConfig): WeightPlan {
  return decoderWeightPlan(config, {
    input: "input_layernorm",
    attentionPost: null,
    mlp: "post_attention_layernorm",
    mlpPost: null,
  });
}
