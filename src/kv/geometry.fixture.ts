import type { LayerConfig, ModelConfig } from "../models/config";
import { BLOCK_SIZE, type KvGeometry, makeKvGeometry } from "./geometry";

/** A small model for tests whose layers have these windows; null is full attention. */
export function configWithWindows(windows: readonly (number | null)[]): ModelConfig {
  const layers = windows.map<LayerConfig>((window) => ({
    kind: window === null ? "full" : "sliding",
    window,
    rope: 0,
  }));
  return {
    architecture: "gemma3_text",
    vocabSize: 64,
    hiddenSize: 32,
    intermediateSize: 64,
    numHeads: 4,
    numKvHeads: 2,
    headDim: 8,
    rmsNormEps: 1e-6,
    normWeight: "one-plus",
    activation: "gelu_tanh",
    embeddingScale: 1,
    attentionScale: 1,
    qkNorm: true,
    postNorms: true,
    tieWordEmbeddings: true,
    maxPositionEmbeddings: 4096,
    layers,
    ropes: [{ theta: 10000, scaling: { kind: "none" } }],
    bosTokenId: null,
    eosTokenIds: [],
  };
}

/** Byte sizes are those of BLOCK_SIZE, whatever the block size: the control plane only adds them up. */
export function geometryWithWindows(
  windows: readonly (number | null)[],
  blockSize = BLOCK_SIZE,
  blocksPerChunk = 1,
): KvGeometry {
  return { ...makeKvGeometry(configWithWindows(windows), "f32"), blockSize, blocksPerChunk };
}
