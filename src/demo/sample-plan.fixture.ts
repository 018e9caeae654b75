import type { MemoryPlan } from "../index";

/** The plan of a small model on a roomy device. */
export const SAMPLE_PLAN: MemoryPlan = {
  modelId: "owner/name",
  architecture: "llama",
  numParameters: 134_500_000,
  downloadBytes: 271_000_000,
  weightBytes: 269_000_000,
  kvCacheBytes: 188_000_000,
  kvBytesPer1000Tokens: 23_000_000,
  stepStateBytes: 4_000_000,
  scratchBytes: 22_000_000,
  stagingBytes: 16_000_000,
  gpuBytes: 499_000_000,
  hostCacheBytes: 536_000_000,
  maxModelLen: 8192,
  longestModelLen: 8192,
  maxPositionEmbeddings: 8192,
  device: { maxBufferBytes: 2 ** 31, maxBindingBytes: 2 ** 30, features: { f16: true, subgroups: true } },
};
