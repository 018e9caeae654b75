import { expect, it } from "vitest";
import type { TensorInfo } from "../loader/weight-map";
import type { CairnError } from "../util/errors";
import type { ModelConfig } from "./config";
import { weightPlan } from "./registry";
import { makeWeightLayout, weightRowBytes } from "./weight-layout";
import { allLinears, allNorms } from "./weight-plan";

const CONFIG: ModelConfig = {
  architecture: "llama",
  vocabSize: 10,
  hiddenSize: 12,
  intermediateSize: 20,
  numHeads: 2,
  numKvHeads: 1,
  headDim: 8,
  rmsNormEps: 1e-5,
  normWeight: "plain",
  activation: "silu",
  embeddingScale: 1,
  attentionScale: 1,
  qkNorm: false,
  postNorms: false,
  tieWordEmbeddings: false,
  maxPositionEmbeddings: 64,
  layers: [{ kind: "full", window: null, rope: 0 }],
  ropes: [{ theta: 10_000, scaling: { kind: "none" } }],
  bosTokenId: null,
  eosTokenIds: [],
};
const PLAN = weightPlan(CONFIG);

function checkpoint(change: (tensor: TensorInfo) => TensorInfo | null = (tensor) => tensor): Map<string, TensorInfo> {
  const tensor = (name: string, shape: number[]): TensorInfo => ({
    name,
    dtype: "BF16",
    shape,
    file: "model.safetensors",
    byteOffset: 0,
    byteLength: 0,
  });
  const all = [
    ...allNorms(PLAN).map((norm) => tensor(norm.tensor, [norm.width])),
    ...allLinears(PLAN).flatMap(({ parts, width }) => parts.map((part) => tensor(part.tensor, [part.numRows, width]))),
  ];
  const kept = all.map(change).filter((changed) => changed !== null);
  return new Map(kept.map((changed) => [changed.name, changed]));
}

const K_PROJ = "model.layers.0.self_attn.k_proj.weight";

function failure(change: (tensor: TensorInfo) => TensorInfo | null): CairnError {
  try {
    makeWeightLayout(
      PLAN,
      checkpoint((tensor) => (tensor.name === K_PROJ ? change(tensor) : tensor)),
    );
  } catch (error) {
    return error as CairnError;
  }
  throw new Error("it did not fail");
}

it("joins q, k and v, pads rows to units of eight, and counts parameters", () => {
  const layout = makeWeightLayout(PLAN, checkpoint());
  const qkv = layout.linears.get(PLAN.layers[0].qkv);
  expect(qkv).toMatchObject({ type: "bf16", numRows: 32, rowBytes: 32 });
  // Embedding and head, qkv, output, gate and up, down, three norms.
  expect(layout.numParameters).toBe(2 * 120 + 32 * 12 + 12 * 16 + 40 * 12 + 12 * 20 + 3 * 12);
  expect(layout.bytes).toBe(32 * (10 + 10 + 32 + 12 + 40) + 48 * 12);
  expect(layout.tensors.size).toBe(12);
});

it("widens a matrix to f32 where its parts differ in type", () => {
  const mixed = checkpoint((tensor) => (tensor.name === K_PROJ ? { ...tensor, dtype: "F16" } : tensor));
  expect(makeWeightLayout(PLAN, mixed).linears.get(PLAN.layers[0].qkv)).toMatchObject({ type: "f32", rowBytes: 64 });
});

it("quantizes matrices, embedding and head to q8_0 always, to rows of quants and scales", () => {
  const layout = makeWeightLayout(PLAN, checkpoint(), "q4_0");
  const rows = [...layout.linears.values()].map(({ plan, type, rowBytes }) => [plan.name, type, rowBytes]);
  expect(rows).toEqual([
    ["embedding", "q8_0", 48],
    ["layer0.qkv", "q4_0", 32],
    ["layer0.output", "q4_0", 32],
    ["layer0.gate_up", "q4_0", 32],
    ["layer0.down", "q4_0", 32],
    ["head", "q8_0", 48],
  ]);
  expect(layout.bytes).toBe(20 * 48 + (32 + 12 + 40 + 12) * 32);
  expect(makeWeightLayout(PLAN, checkpoint(), "q8_0").linears.get(PLAN.layers[0].qkv)?.type).toBe("q8_0");
});

it("pads a quantized row to whole blocks, and its quants and its scales each to 16 bytes", () => {
  const bytes = (type: "q8_0" | "q4_0") => [1, 32, 33, 256, 257, 288].map((width) => weightRowBytes(type, width));
  expect(bytes("q8_0")).toEqual([48, 48, 80, 272, 320, 320]);
  expect(bytes("q4_0")).toEqual([32, 32, 48, 144, 176, 176]);
});

it("names the tensor that is missing, has another shape, or another type", () => {
  const missing = failure(() => null);
  expect([missing.code, missing.data]).toEqual(["tensor_missing", { tensor: K_PROJ }]);
  const shape = failure((tensor) => ({ ...tensor, shape: [12, 8] }));
  expect([shape.code, shape.data]).toEqual(["tensor_shape", { tensor: K_PROJ, expected: [8, 12], actual: [12, 8] }]);
  const dtype = failure((tensor) => ({ ...tensor, dtype: "I8" }));
  expect([dtype.code, dtype.data]).toEqual(["unsupported_dtype", { tensor: K_PROJ, dtype: "I8" }]);
});
