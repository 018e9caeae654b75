import { describe, expect, it } from "vitest";
import { CairnError } from "../util/errors";
import type { ModelConfig } from "./config";
import { parseModelConfig } from "./parse-config";

const LLAMA = {
  model_type: "llama",
  hidden_size: 64,
  intermediate_size: 172,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  num_hidden_layers: 2,
  vocab_size: 512,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 512,
  bos_token_id: 1,
  eos_token_id: 2,
};

const GEMMA = {
  model_type: "gemma3_text",
  hidden_size: 192,
  intermediate_size: 576,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 6,
  head_dim: 64,
  vocab_size: 2048,
  query_pre_attn_scalar: 64,
  sliding_window: 64,
  max_position_embeddings: 1024,
  bos_token_id: 2,
  eos_token_id: [1, 5],
};

const LLAMA3_SCALING = {
  rope_type: "llama3",
  factor: 32,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

function errorOf(config: unknown, generation: unknown = null): CairnError {
  try {
    parseModelConfig(config, generation);
  } catch (thrown) {
    if (thrown instanceof CairnError) return thrown;
    throw thrown;
  }
  throw new Error("the config was accepted");
}

const parse = (config: unknown, generation: unknown = null): ModelConfig => parseModelConfig(config, generation);

describe("llama", () => {
  it("reads every field", () => {
    expect(parse(LLAMA, { eos_token_id: [1, 2] })).toEqual({
      architecture: "llama",
      vocabSize: 512,
      hiddenSize: 64,
      intermediateSize: 172,
      numHeads: 8,
      numKvHeads: 4,
      headDim: 8,
      rmsNormEps: 1e-5,
      normWeight: "plain",
      activation: "silu",
      embeddingScale: 1,
      attentionScale: 8 ** -0.5,
      qkNorm: false,
      postNorms: false,
      tieWordEmbeddings: false,
      maxPositionEmbeddings: 512,
      layers: [
        { kind: "full", window: null, rope: 0 },
        { kind: "full", window: null, rope: 0 },
      ],
      ropes: [{ theta: 10_000, scaling: { kind: "none" } }],
      bosTokenId: 1,
      eosTokenIds: [2, 1],
    });
  });

  it("fills in heads and ids that the file leaves out", () => {
    const config = parse({ ...LLAMA, num_key_value_heads: undefined, bos_token_id: null, eos_token_id: null });
    expect([config.numKvHeads, config.bosTokenId, config.eosTokenIds]).toEqual([8, null, []]);
    expect(parse({ ...LLAMA, head_dim: 32, tie_word_embeddings: true })).toMatchObject({
      headDim: 32,
      tieWordEmbeddings: true,
    });
  });

  const llama3 = { kind: "llama3", factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPosition: 8192 };
  it.each([
    [
      { rope_theta: 5e5, rope_scaling: LLAMA3_SCALING },
      { theta: 5e5, scaling: llama3 },
    ],
    [{ rope_parameters: { rope_theta: 5e5, ...LLAMA3_SCALING } }, { theta: 5e5, scaling: llama3 }],
    [{ rope_scaling: { type: "linear", factor: 2 } }, { theta: 1e4, scaling: { kind: "linear", factor: 2 } }],
    [{ rope_scaling: { rope_type: "default" } }, { theta: 1e4, scaling: { kind: "none" } }],
  ])("reads the rope %j", (fields, rope) => {
    expect(parse({ ...LLAMA, ...fields }).ropes).toEqual([rope]);
  });
});

describe("gemma3_text", () => {
  const pattern3 = ["sliding", "sliding", "full", "sliding", "sliding", "full"];

  it("takes layer kinds from layer_types", () => {
    const types = pattern3.map((kind) => `${kind}_attention`);
    const config = parse({ ...GEMMA, layer_types: types, rope_theta: 1e5, rope_local_base_freq: 1e4 });
    expect(config).toMatchObject({
      normWeight: "one-plus",
      activation: "gelu_tanh",
      embeddingScale: Math.sqrt(192),
      attentionScale: 0.125,
      qkNorm: true,
      postNorms: true,
      tieWordEmbeddings: true,
      ropes: [
        { theta: 1e4, scaling: { kind: "none" } },
        { theta: 1e5, scaling: { kind: "none" } },
      ],
    });
    expect(config.layers.map((layer) => layer.kind)).toEqual(pattern3);
    expect(config.layers[0]).toEqual({ kind: "sliding", window: 64, rope: 0 });
    expect(config.layers[2]).toEqual({ kind: "full", window: null, rope: 1 });
  });

  it("takes layer kinds from sliding_window_pattern, 6 unless given", () => {
    const kindsOf = (fields: object) => parse({ ...GEMMA, ...fields }).layers.map((layer) => layer.kind);
    expect(kindsOf({ sliding_window_pattern: 3 })).toEqual(pattern3);
    expect(kindsOf({ _sliding_window_pattern: 2 })).toEqual(["sliding", "full", "sliding", "full", "sliding", "full"]);
    expect(kindsOf({})).toEqual(["sliding", "sliding", "sliding", "sliding", "sliding", "full"]);
  });

  it("scales the rope of the full layers only", () => {
    const { ropes, layers } = parse({ ...GEMMA, rope_scaling: { rope_type: "linear", factor: 8 } });
    expect(ropes[layers[0].rope]).toEqual({ theta: 10_000, scaling: { kind: "none" } });
    expect(ropes[layers[5].rope]).toEqual({ theta: 1_000_000, scaling: { kind: "linear", factor: 8 } });
  });

  it("reads rope_parameters of each kind", () => {
    const rope_parameters = {
      full_attention: { rope_type: "linear", factor: 8, rope_theta: 2e6 },
      sliding_attention: { rope_type: "default", rope_theta: 5000 },
    };
    const { ropes, layers } = parse({ ...GEMMA, rope_parameters });
    expect(ropes[layers[0].rope]).toEqual({ theta: 5000, scaling: { kind: "none" } });
    expect(ropes[layers[5].rope]).toEqual({ theta: 2e6, scaling: { kind: "linear", factor: 8 } });
    const half = { full_attention: rope_parameters.full_attention };
    expect(errorOf({ ...GEMMA, rope_parameters: half }).data.field).toBe("rope_parameters.sliding_attention");
  });
});

describe("refusals", () => {
  it.each([null, "x", [], 3])("refuses %j as a config", (json) => {
    expect(errorOf(json).code).toBe("invalid_config");
  });

  it.each([["mistral"], [undefined]])("refuses the architecture %j before anything else", (modelType) => {
    const error = errorOf({ model_type: modelType, attention_bias: true });
    expect([error.code, error.data]).toEqual(["unsupported_architecture", { modelType: modelType ?? null }]);
  });

  it.each([
    ["attention_bias", true],
    ["mlp_bias", true],
    ["hidden_act", "gelu"],
    ["quantization_config", { bits: 4 }],
    ["partial_rotary_factor", 0.5],
    ["head_dim", 12],
    ["head_dim", 264],
    ["num_key_value_heads", 3],
    ["hidden_size", -64],
    ["hidden_size", "64"],
    ["intermediate_size", 1.5],
    ["vocab_size", undefined],
    ["num_hidden_layers", 1e9],
    ["rms_norm_eps", 0],
    ["tie_word_embeddings", "yes"],
    ["eos_token_id", [2, 512]],
    ["bos_token_id", -1],
    ["layer_types", ["full_attention"]],
    ["layer_types", ["full_attention", "sliding_attention"]],
    ["rope_scaling", "linear"],
  ])("refuses llama's %s = %j by name", (field, value) => {
    const error = errorOf({ ...LLAMA, [field]: value });
    expect([error.code, error.data]).toEqual(["invalid_config", { field, value: value ?? null }]);
  });

  it.each([
    ["use_bidirectional_attention", true],
    ["attn_logit_softcapping", 50],
    ["final_logit_softcapping", 30],
    ["hidden_activation", "gelu"],
    ["sliding_window", 0],
    ["layer_types", new Array(6).fill("linear_attention")],
    ["query_pre_attn_scalar", 0],
  ])("refuses gemma's %s = %j by name", (field, value) => {
    expect(errorOf({ ...GEMMA, [field]: value }).data).toEqual({ field, value });
  });

  it.each([
    ["rope_type", { rope_type: "yarn", factor: 4 }, "yarn"],
    ["type", { type: "dynamic", factor: 4 }, "dynamic"],
    ["factor", { rope_type: "linear" }, null],
    ["high_freq_factor", { ...LLAMA3_SCALING, high_freq_factor: 1 }, 1],
  ])("refuses rope_scaling.%s of %j", (field, rope_scaling, value) => {
    expect(errorOf({ ...LLAMA, rope_scaling }).data).toEqual({ field: `rope_scaling.${field}`, value });
  });

  it("names the other file in errors about it", () => {
    expect(errorOf(LLAMA, { eos_token_id: "2" }).data).toEqual({ field: "generation_config.eos_token_id", value: "2" });
  });
});

describe("values that are large or deep", () => {
  const deep = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`);

  it.each(["model_type", "hidden_size", "layer_types", "rope_scaling", "eos_token_id", "quantization_config"])(
    "%s: the error crosses to another thread",
    (field) => {
      const error = errorOf({ ...LLAMA, [field]: deep });
      expect(structuredClone(error.data)).toEqual(error.data);
      expect(JSON.stringify(errorOf({ ...LLAMA, [field]: [`${"x".repeat(1_000_000)}`] }).data).length).toBeLessThan(
        1200,
      );
    },
  );
});
