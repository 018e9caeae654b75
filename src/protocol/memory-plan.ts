/**
 * What a model takes with some options, known from its config, the headers of its weights and the GPU's limits. All sizes in
 * bytes; those on the GPU are the sizes of the buffers that the engine makes, but for some kilobytes of parameters and, while
 * weights stream, the piece on its way (`maxPieceBytes`). The context fits where maxModelLen <= longestModelLen.
 */
export interface MemoryPlan {
  readonly modelId: string;
  readonly architecture: string;
  readonly numParameters: number;
  /** Of all files that hold weights, as they lie at their source. Config and tokenizer come on top. */
  readonly downloadBytes: number;
  /** On the GPU, after quantization. */
  readonly weightBytes: number;
  /** What the engine takes, room for several requests; where the context does not fit, what one request needs. */
  readonly kvCacheBytes: number;
  /** KV that one request of 1,000 tokens holds at most. */
  readonly kvBytesPer1000Tokens: number;
  readonly stepStateBytes: number;
  /** Intermediate results and rope tables. */
  readonly scratchBytes: number;
  /** Buffers through which KV goes to RAM and back. */
  readonly stagingBytes: number;
  /** Sum of the GPU's parts above. */
  readonly gpuBytes: number;
  /** RAM that copies of KV may take. */
  readonly hostCacheBytes: number;
  /** The context that was asked for, else the one that the engine sets up: prompt + completion, in tokens. */
  readonly maxModelLen: number;
  /** The longest context that fits with these options, whatever was asked for, up to the model's own limit. */
  readonly longestModelLen: number;
  readonly maxPositionEmbeddings: number;
  readonly device: {
    readonly maxBufferBytes: number;
    readonly maxBindingBytes: number;
    readonly features: { readonly f16: boolean; readonly subgroups: boolean };
  };
}
