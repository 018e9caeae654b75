/**
 * What a model would take with some options, known from its config and the headers of its weights alone. All sizes in
 * bytes; those on the GPU are the sizes of the buffers that the engine then makes.
 */
export interface MemoryPlan {
  readonly modelId: string;
  readonly architecture: string;
  readonly numParameters: number;
  /** Of all files that are read to load it, as they lie at their source; null where a size is not told. */
  readonly downloadBytes: number | null;
  /** On the GPU, after quantization. */
  readonly weightBytes: number;
  readonly kvCacheBytes: number;
  /** KV of a request's first 1,000 tokens. */
  readonly kvBytesPer1000Tokens: number;
  readonly stepStateBytes: number;
  readonly scratchBytes: number;
  /** Buffers through which KV goes to RAM and back. */
  readonly stagingBytes: number;
  /** Sum of the GPU's parts above. */
  readonly gpuBytes: number;
  /** RAM that copies of KV may take. */
  readonly hostCacheBytes: number;
  /** The context that the engine sets up: prompt + completion, in tokens. */
  readonly maxModelLen: number;
  /** The longest context that fits, whatever was asked for, up to the model's own limit. */
  readonly longestModelLen: number;
  readonly maxPositionEmbeddings: number;
  readonly device: {
    readonly maxBufferBytes: number;
    readonly maxBindingBytes: number;
    readonly features: { readonly f16: boolean; readonly subgroups: boolean };
  };
}
