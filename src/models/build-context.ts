import type { Buffers } from "../gpu/buffers";
import type { PipelineCache } from "../gpu/pipeline-cache";
import type { KvLayerParams } from "../kernels/kv-layer";
import type { KvType } from "../kernels/modules";
import type { DeviceVariant } from "../kernels/variants";
import type { ModelConfig } from "./config";
import type { Scratch } from "./scratch";
import type { ModelWeights } from "./weights";

/** A layer's place in the KV cache. */
export interface KvLayerBinding {
  readonly params: KvLayerParams;
  readonly plane: GPUBuffer;
}

/** What ops are built from. */
export interface LayerContext {
  readonly config: ModelConfig;
  readonly variant: DeviceVariant;
  readonly kvType: KvType;
  readonly buffers: Buffers;
  readonly pipelines: PipelineCache;
  readonly weights: Pick<ModelWeights, "norms" | "normOffset">;
  readonly scratch: Scratch;
  readonly kvLayers: readonly KvLayerBinding[];
  /** The step buffer, the row state that the sampler writes, and the block tables; see runner/. */
  readonly step: GPUBuffer;
  readonly lastIds: GPUBuffer;
  readonly blockTables: GPUBuffer;
  readonly maxModelLen: number;
  /** Up to this many single-token queries, and logit rows, use GEMV; 0 switches it off. */
  readonly gemvUpToTokens: number;
  /** Fold norms into GEMV's prologue. */
  readonly fusedNorm: boolean;
}

/** What a model is built from. */
export interface BuildContext extends LayerContext {
  readonly weights: ModelWeights;
}
