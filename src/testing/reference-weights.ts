import type { ModelConfig } from "../models/config";
import { CairnError } from "../util/errors";
import type { TensorMap } from "./safetensors";

/** The weights of one layer as plain row-major arrays. `null` where the architecture has no such tensor. */
export interface LayerWeights {
  readonly inputNorm: Float32Array;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly o: Float32Array;
  readonly qNorm: Float32Array | null;
  readonly kNorm: Float32Array | null;
  readonly postAttentionNorm: Float32Array | null;
  readonly mlpNorm: Float32Array;
  readonly gate: Float32Array;
  readonly up: Float32Array;
  readonly down: Float32Array;
  readonly postMlpNorm: Float32Array | null;
}

export interface ModelWeights {
  readonly embedding: Float32Array;
  readonly layers: readonly LayerWeights[];
  readonly norm: Float32Array;
  readonly head: Float32Array;
}

/** Finds every weight that `config` asks for. Throws `tensor_missing` or `tensor_shape`. */
export function collectWeights(config: ModelConfig, tensors: TensorMap): ModelWeights {
  const { vocabSize, hiddenSize } = config;
  const embedding = takeTensor(tensors, "model.embed_tokens.weight", [vocabSize, hiddenSize]);
  return {
    embedding,
    layers: config.layers.map((_, layer) => collectLayer(config, tensors, `model.layers.${layer}.`)),
    norm: takeTensor(tensors, "model.norm.weight", [hiddenSize]),
    head: config.tieWordEmbeddings ? embedding : takeTensor(tensors, "lm_head.weight", [vocabSize, hiddenSize]),
  };
}

function collectLayer(config: ModelConfig, tensors: TensorMap, prefix: string): LayerWeights {
  const { hiddenSize, intermediateSize, headDim, qkNorm, postNorms } = config;
  const querySize = config.numHeads * headDim;
  const kvSize = config.numKvHeads * headDim;
  const take = (name: string, ...shape: number[]) => takeTensor(tensors, `${prefix}${name}.weight`, shape);
  return {
    inputNorm: take("input_layernorm", hiddenSize),
    q: take("self_attn.q_proj", querySize, hiddenSize),
    k: take("self_attn.k_proj", kvSize, hiddenSize),
    v: take("self_attn.v_proj", kvSize, hiddenSize),
    o: take("self_attn.o_proj", hiddenSize, querySize),
    qNorm: qkNorm ? take("self_attn.q_norm", headDim) : null,
    kNorm: qkNorm ? take("self_attn.k_norm", headDim) : null,
    // One name, two places: without post norms this tensor is the norm in front of the MLP.
    postAttentionNorm: postNorms ? take("post_attention_layernorm", hiddenSize) : null,
    mlpNorm: take(postNorms ? "pre_feedforward_layernorm" : "post_attention_layernorm", hiddenSize),
    gate: take("mlp.gate_proj", intermediateSize, hiddenSize),
    up: take("mlp.up_proj", intermediateSize, hiddenSize),
    down: take("mlp.down_proj", hiddenSize, intermediateSize),
    postMlpNorm: postNorms ? take("post_feedforward_layernorm", hiddenSize) : null,
  };
}

function takeTensor(tensors: TensorMap, name: string, shape: readonly number[]): Float32Array {
  const tensor = tensors.get(name);
  if (!tensor) throw new CairnError("tensor_missing", `The checkpoint has no tensor ${name}`, { tensor: name });
  if (tensor.shape.join() !== shape.join()) {
    const message = `Tensor ${name} has shape [${tensor.shape}], expected [${shape}]`;
    throw new CairnError("tensor_shape", message, { tensor: name, expected: shape, actual: tensor.shape });
  }
  return tensor.data;
}
