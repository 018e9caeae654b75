/** A model's `config.json`, checked and brought to one shape. Every number that a kernel or the KV cache needs is here; nothing reads the raw JSON after. */
export interface ModelConfig {
  readonly architecture: "llama" | "gemma3_text";
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  /** Width of one head; a multiple of 8, from 8 to 256. */
  readonly headDim: number;
  readonly rmsNormEps: number;
  /** RMSNorm multiplies by `weight` or, in Gemma's checkpoints, by `1 + weight`. */
  readonly normWeight: "plain" | "one-plus";
  /** Applied to the gate before it multiplies `up`. */
  readonly activation: "silu" | "gelu_tanh";
  /** Multiplies the embedding; 1 in Llama, sqrt(hiddenSize) in Gemma. */
  readonly embeddingScale: number;
  /** Multiplies q·k before softmax. */
  readonly attentionScale: number;
  /** RMSNorm over each head of q and k before rope. */
  readonly qkNorm: boolean;
  /** A second RMSNorm on the output of attention and of the MLP, before the residual add. */
  readonly postNorms: boolean;
  /** The output head reads the embedding's weights. */
  readonly tieWordEmbeddings: boolean;
  /** Longest context that the checkpoint was made for, in tokens. */
  readonly maxPositionEmbeddings: number;
  readonly layers: readonly LayerConfig[];
  /** Distinct rope parameter sets; layers name theirs by index. */
  readonly ropes: readonly RopeConfig[];
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
}

export interface LayerConfig {
  readonly kind: "full" | "sliding";
  /** Tokens that a query sees, itself included; null for full attention. */
  readonly window: number | null;
  readonly rope: number;
}

export interface RopeConfig {
  readonly theta: number;
  readonly scaling: RopeScaling;
}

export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPosition: number;
    };
