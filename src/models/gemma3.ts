import type { ModelConfig } from "./config";
import { decoderWeightPlan, type WeightPlan } from "./weight-plan";

/** Gemma 3, text: norms before and after attention and MLP, norms of q and k, sliding and full layers. */
export function gemma3WeightPlan(config: ModelConfig): WeightPlan {
  return decoderWeightPlan(config, {
    input: "input_layernorm",
    attentionPost: "post_attention_layernorm",
    mlp: "pre_feedforward_layernorm",
    mlpPost: "post_feedforward_layernorm",
  });
}
