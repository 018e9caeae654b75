import { expect, test } from "vitest";
import { makeKvGeometry } from "../kv/geometry";
import type { ModelConfig } from "../models/config";
import { parseModelConfig } from "../models/parse-config";
import { type KvOrigin, kvFingerprint } from "./kv-fingerprint";

const RAW = {
  architectures: ["Gemma3ForCausalLM"],
  model_type: "gemma3_text",
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 6,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  hidden_activation: "gelu_pytorch_tanh",
  rms_norm_eps: 1e-6,
  rope_theta: 1_000_000,
  rope_local_base_freq: 10_000,
  query_pre_attn_scalar: 8,
  sliding_window: 64,
  sliding_window_pattern: 6,
  max_position_embeddings: 512,
  tie_word_embeddings: true,
};

function origin(raw: object = {}, rest: Partial<KvOrigin> = {}): KvOrigin {
  const config: ModelConfig = parseModelConfig({ ...RAW, ...raw }, null);
  return {
    weightsHash: "00",
    quantization: null,
    config,
    geometry: makeKvGeometry(config, "f16"),
    encoding: "exact",
    ...rest,
  };
}

test("the same model has the same fingerprint: 128 bits, in hex", () => {
  expect(kvFingerprint(origin())).toMatch(/^[0-9a-f]{32}$/);
  expect(kvFingerprint(origin())).toBe(kvFingerprint(origin()));
});

test("exact KV of this version finds what any version 0.1 has stored", () => {
  expect(kvFingerprint(origin())).toBe("6aefa639562e56dc518dda3c346bed56");
});

test("whatever reaches K or V makes another one", () => {
  const { config, geometry } = origin();
  const others = [
    origin(),
    origin({}, { weightsHash: "01" }),
    origin({}, { quantization: "q8_0" }),
    origin({}, { quantization: "q4_0" }),
    origin({}, { encoding: "int8" }),
    origin({ rope_theta: 1_000_001 }),
    origin({ rope_local_base_freq: 10_001 }),
    origin({ rope_scaling: { rope_type: "linear", factor: 2 } }),
    origin({ rope_scaling: { rope_type: "linear", factor: 4 } }),
    origin({ rms_norm_eps: 1e-5 }),
    origin({ query_pre_attn_scalar: 16 }),
    origin({ sliding_window: 128 }),
    origin({ sliding_window_pattern: 3 }),
    origin({}, { geometry: makeKvGeometry(config, "f32") }),
    origin({}, { geometry: { ...geometry, blocksPerChunk: geometry.blocksPerChunk + 1 } }),
    origin({}, { geometry: { ...geometry, groups: geometry.groups.slice(1) } }),
  ].map(kvFingerprint);
  expect(new Set(others).size).toBe(others.length);
});
