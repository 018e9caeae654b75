import { CairnError } from "../util/errors";
import { briefJson, briefValue } from "../util/json";
import type { LayerConfig, ModelConfig, RopeConfig } from "./config";
import { ConfigReader } from "./config-reader";
import { parseRope, parseRopesByKind } from "./parse-rope";

/**
 * Checks a checkpoint's `config.json` and brings it to one shape. A field that would change the maths in a way that
 * Cairn does not implement is refused by name, never ignored. End-of-sequence ids are those of both files.
 * Throws `invalid_config` { field, value } and `unsupported_architecture` { modelType }.
 */
export function parseModelConfig(configJson: unknown, generationConfigJson: unknown | null): ModelConfig {
  const config = new ConfigReader(configJson);
  const generation = new ConfigReader(generationConfigJson ?? {}, "generation_config");
  const modelType = config.raw("model_type");
  const parse = ARCHITECTURES.get(modelType);
  if (!parse) {
    const message = `The architecture ${briefJson(modelType)} (model_type of config.json) is not supported.`;
    throw new CairnError("unsupported_architecture", message, { modelType: briefValue(modelType ?? null) });
  }
  for (const [field, neutral] of Object.entries(NEUTRAL_VALUES)) config.requireNeutral(field, neutral);
  return parse(config, generation);
}

const ARCHITECTURES: ReadonlyMap<unknown, (config: ConfigReader, generation: ConfigReader) => ModelConfig> = new Map([
  ["llama", parseLlama],
  ["gemma3_text", parseGemma3],
]);

const MAX_LAYERS = 1024;

/** Fields of either architecture that change what a layer computes, with the values that change nothing. */
const NEUTRAL_VALUES: Readonly<Record<string, readonly unknown[]>> = {
  attention_bias: [false],
  mlp_bias: [false],
  quantization_config: [],
  compression_config: [],
  attn_logit_softcapping: [],
  final_logit_softcapping: [],
  use_bidirectional_attention: [false],
  partial_rotary_factor: [1],
  is_encoder_decoder: [false],
  add_cross_attention: [false],
};

function parseLlama(config: ConfigReader, generation: ConfigReader): ModelConfig {
  const sizes = parseSizes(config, null);
  config.requireNeutral("hidden_act", ["silu", "swish"]);
  const kinds = parseLayerTypes(config, sizes.numLayers) ?? new Array<LayerKind>(sizes.numLayers).fill("full");
  if (kinds.includes("sliding")) throw config.refusal("layer_types", "has sliding layers, not supported in llama");
  return {
    architecture: "llama",
    ...sizes.shared,
    normWeight: "plain",
    activation: "silu",
    embeddingScale: 1,
    attentionScale: sizes.shared.headDim ** -0.5,
    qkNorm: false,
    postNorms: false,
    tieWordEmbeddings: config.boolean("tie_word_embeddings", false),
    maxPositionEmbeddings: config.positiveInt("max_position_embeddings", 2048),
    layers: kinds.map((kind) => ({ kind, window: null, rope: 0 })),
    ropes: [parseRope(config, 10_000)],
    ...parseEndIds(config, generation, sizes.shared.vocabSize),
  };
}

function parseGemma3(config: ConfigReader, generation: ConfigReader): ModelConfig {
  const sizes = parseSizes(config, 256);
  config.requireNeutral("hidden_activation", ["gelu_pytorch_tanh"]);
  return {
    architecture: "gemma3_text",
    ...sizes.shared,
    normWeight: "one-plus",
    activation: "gelu_tanh",
    embeddingScale: Math.sqrt(sizes.shared.hiddenSize),
    attentionScale: config.positiveNumber("query_pre_attn_scalar", 256) ** -0.5,
    qkNorm: true,
    postNorms: true,
    tieWordEmbeddings: config.boolean("tie_word_embeddings", true),
    maxPositionEmbeddings: config.positiveInt("max_position_embeddings", 131_072),
    ...parseGemma3Layers(config, sizes.numLayers),
    ...parseEndIds(config, generation, sizes.shared.vocabSize),
  };
}

/** What both architectures spell alike. `defaultHeadDim` null: the hidden size divided among the heads. */
function parseSizes(config: ConfigReader, defaultHeadDim: number | null) {
  const hiddenSize = config.positiveInt("hidden_size");
  const numHeads = config.positiveInt("num_attention_heads");
  const numKvHeads = config.positiveInt("num_key_value_heads", numHeads);
  const headDim = config.positiveInt("head_dim", defaultHeadDim ?? hiddenSize / numHeads);
  if (numHeads % numKvHeads !== 0) {
    throw config.refusal("num_key_value_heads", `must divide num_attention_heads ${numHeads}`);
  }
  if (headDim % 8 !== 0 || headDim > 256) {
    throw config.refusal("head_dim", `must be a multiple of 8 up to 256; it is ${headDim}`);
  }
  return {
    numLayers: config.positiveInt("num_hidden_layers", undefined, MAX_LAYERS),
    shared: {
      vocabSize: config.positiveInt("vocab_size"),
      hiddenSize,
      intermediateSize: config.positiveInt("intermediate_size"),
      numHeads,
      numKvHeads,
      headDim,
      rmsNormEps: config.positiveNumber("rms_norm_eps", 1e-6),
    },
  };
}

type LayerKind = LayerConfig["kind"];

const LAYER_KINDS: ReadonlyMap<unknown, LayerKind> = new Map([
  ["full_attention", "full"],
  ["sliding_attention", "sliding"],
]);

/** The kind of each layer where `layer_types` lists them, else null. */
function parseLayerTypes(config: ConfigReader, numLayers: number): LayerKind[] | null {
  const types = config.raw("layer_types");
  if (types === undefined) return null;
  if (!Array.isArray(types) || types.length !== numLayers) {
    throw config.refusal("layer_types", `must list num_hidden_layers = ${numLayers} layers`);
  }
  return types.map((type) => {
    const kind = LAYER_KINDS.get(type);
    if (!kind) throw config.refusal("layer_types", 'must hold "full_attention" and "sliding_attention" only');
    return kind;
  });
}

function parseGemma3Layers(config: ConfigReader, numLayers: number): Pick<ModelConfig, "layers" | "ropes"> {
  const kinds = parseLayerTypes(config, numLayers) ?? layerKindsOfPattern(config, numLayers);
  const window = kinds.includes("sliding") ? config.positiveInt("sliding_window", 4096) : null;
  const ropeOfKind = parseRopesByKind(config);
  const ropes: RopeConfig[] = [];
  const layers = kinds.map((kind): LayerConfig => {
    const rope = ropeOfKind[kind];
    if (!ropes.includes(rope)) ropes.push(rope);
    return { kind, window: kind === "sliding" ? window : null, rope: ropes.indexOf(rope) };
  });
  return { layers, ropes };
}

/** Every n-th layer is full, the others slide. */
function layerKindsOfPattern(config: ConfigReader, numLayers: number): LayerKind[] {
  const field = config.has("_sliding_window_pattern") ? "_sliding_window_pattern" : "sliding_window_pattern";
  const pattern = config.positiveInt(field, 6);
  return Array.from({ length: numLayers }, (_, layer) => ((layer + 1) % pattern === 0 ? "full" : "sliding"));
}

function parseEndIds(config: ConfigReader, generation: ConfigReader, vocabSize: number) {
  const [bosTokenId = null] = config.tokenIds("bos_token_id", vocabSize);
  const eosTokenIds = new Set([config, generation].flatMap((source) => source.tokenIds("eos_token_id", vocabSize)));
  return { bosTokenId, eosTokenIds: [...eosTokenIds] };
}
