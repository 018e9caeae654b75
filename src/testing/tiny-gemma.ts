import { roundToBf16 } from "../kernels/reference/float-bits";
import type { ModelConfig } from "../models/config";
import { parseModelConfig } from "../models/parse-config";
import { Random } from "./random";
import { encodeSafetensors, type Tensor, type TensorMap } from "./safetensors";

export interface TinyGemmaOptions {
  readonly seed: number;
  /** Size of what each block adds to the residual stream: 1 is tame; from 1e5 on f16 could not hold it. */
  readonly residualScale: number;
  /** "sliding_attention" (window 32) or "full_attention" for each layer; one full between two sliding unless given. */
  readonly layerTypes?: readonly string[];
}

/** A random gemma3_text checkpoint. Tensors hold bf16 values, so that its files hold them exactly. */
export interface TinyGemma {
  readonly config: ModelConfig;
  readonly configJson: Readonly<Record<string, unknown>>;
  readonly tensors: TensorMap;
}

/** Bytes under a name, as a `File` of a picked model folder. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const VOCAB_SIZE = 256;
const HIDDEN_SIZE = 64;
const INTERMEDIATE_SIZE = 172;
const NUM_HEADS = 4;
const NUM_KV_HEADS = 2;
const HEAD_DIM = 16;
const DEFAULT_LAYER_TYPES = ["sliding_attention", "full_attention", "sliding_attention"];

const CONFIG_JSON = {
  architectures: ["Gemma3ForCausalLM"],
  model_type: "gemma3_text",
  attention_bias: false,
  bos_token_id: 2,
  eos_token_id: 1,
  head_dim: HEAD_DIM,
  hidden_activation: "gelu_pytorch_tanh",
  hidden_size: HIDDEN_SIZE,
  intermediate_size: INTERMEDIATE_SIZE,
  max_position_embeddings: 1024,
  num_attention_heads: NUM_HEADS,
  num_key_value_heads: NUM_KV_HEADS,
  query_pre_attn_scalar: HEAD_DIM,
  rms_norm_eps: 1e-6,
  rope_local_base_freq: 10000,
  rope_theta: 1000000,
  rope_scaling: null,
  sliding_window: 32,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  vocab_size: VOCAB_SIZE,
  attn_logit_softcapping: null,
  final_logit_softcapping: null,
};

/**
 * The heat comes from the post norms: their weights are about `residualScale`, so every block adds a vector of that size while
 * what enters each block and the head is normalized, and logits stay of order 1.
 */
export function makeTinyGemma({ seed, residualScale, layerTypes = DEFAULT_LAYER_TYPES }: TinyGemmaOptions): TinyGemma {
  const random = new Random(seed);
  const tensors = new Map<string, Tensor>();
  const addMatrix = (name: string, numRows: number, numCols: number) => {
    const data = roundToBf16(random.normalArray(numRows * numCols, 1 / Math.sqrt(numCols)));
    tensors.set(`model.${name}.weight`, { shape: [numRows, numCols], data });
  };
  const addNorm = (name: string, length: number, scale = 1) => {
    // Checkpoints of Gemma store the factor less one.
    const data = roundToBf16(random.uniformArray(length, 0.5, 1.5).map((factor) => factor * scale - 1));
    tensors.set(`model.${name}.weight`, { shape: [length], data });
  };

  addMatrix("embed_tokens", VOCAB_SIZE, HIDDEN_SIZE);
  for (const layer of layerTypes.keys()) {
    const prefix = `layers.${layer}`;
    addNorm(`${prefix}.input_layernorm`, HIDDEN_SIZE);
    addMatrix(`${prefix}.self_attn.q_proj`, NUM_HEADS * HEAD_DIM, HIDDEN_SIZE);
    addMatrix(`${prefix}.self_attn.k_proj`, NUM_KV_HEADS * HEAD_DIM, HIDDEN_SIZE);
    addMatrix(`${prefix}.self_attn.v_proj`, NUM_KV_HEADS * HEAD_DIM, HIDDEN_SIZE);
    addMatrix(`${prefix}.self_attn.o_proj`, HIDDEN_SIZE, NUM_HEADS * HEAD_DIM);
    addNorm(`${prefix}.self_attn.q_norm`, HEAD_DIM);
    addNorm(`${prefix}.self_attn.k_norm`, HEAD_DIM);
    addNorm(`${prefix}.post_attention_layernorm`, HIDDEN_SIZE, residualScale);
    addNorm(`${prefix}.pre_feedforward_layernorm`, HIDDEN_SIZE);
    addMatrix(`${prefix}.mlp.gate_proj`, INTERMEDIATE_SIZE, HIDDEN_SIZE);
    addMatrix(`${prefix}.mlp.up_proj`, INTERMEDIATE_SIZE, HIDDEN_SIZE);
    addMatrix(`${prefix}.mlp.down_proj`, HIDDEN_SIZE, INTERMEDIATE_SIZE);
    addNorm(`${prefix}.post_feedforward_layernorm`, HIDDEN_SIZE, residualScale);
  }
  addNorm("norm", HIDDEN_SIZE);
  const configJson = { ...CONFIG_JSON, layer_types: layerTypes, num_hidden_layers: layerTypes.length };
  return { config: parseModelConfig(configJson, null), configJson, tensors };
}

/** Its config.json and model.safetensors (bf16). There is no tokenizer: such a model is fed with ids. */
export function tinyGemmaFiles({ configJson, tensors }: TinyGemma): NamedBytes[] {
  return [
    { name: "config.json", bytes: new TextEncoder().encode(JSON.stringify(configJson)) },
    { name: "model.safetensors", bytes: encodeSafetensors(tensors, "BF16") },
  ];
}
