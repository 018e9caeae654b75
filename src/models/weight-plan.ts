import type { ModelConfig } from "./config";

/** A matrix that kernels read as one: rows of one or several checkpoint tensors [rows, width]. */
export interface LinearPlan {
  readonly name: string;
  readonly width: number;
  readonly parts: readonly { readonly tensor: string; readonly numRows: number }[];
  /** `concat`: one part after the other; `interleave`: row 0 of each part, row 1 of each part ... */
  readonly order: "concat" | "interleave";
}

export interface NormPlan {
  readonly tensor: string;
  readonly width: number;
}

/** Names of one decoder layer's weights; a Linear's or norm's own name is its checkpoint tensor's. */
export interface LayerPlan {
  readonly inputNorm: NormPlan;
  readonly qkv: LinearPlan;
  readonly qNorm: NormPlan | null;
  readonly kNorm: NormPlan | null;
  readonly output: LinearPlan;
  /** On the output of attention, before the residual add. */
  readonly attentionPostNorm: NormPlan | null;
  readonly mlpNorm: NormPlan;
  readonly gateUp: LinearPlan;
  readonly down: LinearPlan;
  /** On the output of the MLP, before the residual add. */
  readonly mlpPostNorm: NormPlan | null;
}

export interface WeightPlan {
  readonly embedding: LinearPlan;
  readonly layers: readonly LayerPlan[];
  readonly finalNorm: NormPlan;
  /** The same object as `embedding` where the two are tied. */
  readonly head: LinearPlan;
}

export function allLinears(plan: WeightPlan): LinearPlan[] {
  const layers = plan.layers.flatMap((layer) => [layer.qkv, layer.output, layer.gateUp, layer.down]);
  return [...new Set([plan.embedding, ...layers, plan.head])];
}

export function allNorms(plan: WeightPlan): NormPlan[] {
  const layers = plan.layers.flatMap((layer) => [
    layer.inputNorm,
    layer.qNorm,
    layer.kNorm,
    layer.attentionPostNorm,
    layer.mlpNorm,
    layer.mlpPostNorm,
  ]);
  return [...layers, plan.finalNorm].filter((norm) => norm !== null);
}

/** What differs between the architectures of the Llama family: the names of their norms. */
export interface LayerNormNames {
  readonly input: string;
  readonly attentionPost: string | null;
  readonly mlp: string;
  readonly mlpPost: string | null;
}

/** The plan of a decoder whose projections have the names that Hugging Face gives Llama and its descendants. */
export function decoderWeightPlan(config: ModelConfig, names: LayerNormNames): WeightPlan {
  const { hiddenSize, headDim, numHeads, numKvHeads, intermediateSize, vocabSize } = config;
  const norm = (tensor: string, width: number): NormPlan => ({ tensor: `${tensor}.weight`, width });
  const linear = (name: string, width: number, parts: readonly (readonly [string, number])[]): LinearPlan => ({
    name,
    width,
    parts: parts.map(([tensor, numRows]) => ({ tensor: `${tensor}.weight`, numRows })),
    order: "concat",
  });
  const embedding = linear("embedding", hiddenSize, [["model.embed_tokens", vocabSize]]);
  const layers = config.layers.map((_, index): LayerPlan => {
    const layer = `model.layers.${index}`;
    const optional = (name: string | null, width: number) => (name ? norm(`${layer}.${name}`, width) : null);
    return {
      inputNorm: norm(`${layer}.${names.input}`, hiddenSize),
      qkv: linear(`layer${index}.qkv`, hiddenSize, [
        [`${layer}.self_attn.q_proj`, numHeads * headDim],
        [`${layer}.self_attn.k_proj`, numKvHeads * headDim],
        [`${layer}.self_attn.v_proj`, numKvHeads * headDim],
      ]),
      qNorm: optional(config.qkNorm ? "self_attn.q_norm" : null, headDim),
      kNorm: optional(config.qkNorm ? "self_attn.k_norm" : null, headDim),
      output: linear(`layer${index}.output`, numHeads * headDim, [[`${layer}.self_attn.o_proj`, hiddenSize]]),
      attentionPostNorm: optional(names.attentionPost, hiddenSize),
      mlpNorm: norm(`${layer}.${names.mlp}`, hiddenSize),
      gateUp: {
        ...linear(`layer${index}.gate_up`, hiddenSize, [
          [`${layer}.mlp.gate_proj`, intermediateSize],
          [`${layer}.mlp.up_proj`, intermediateSize],
        ]),
        order: "interleave",
      },
      down: linear(`layer${index}.down`, intermediateSize, [[`${layer}.mlp.down_proj`, hiddenSize]]),
      mlpPostNorm: optional(names.mlpPost, hiddenSize),
    };
  });
  const head = config.tieWordEmbeddings ? embedding : linear("head", hiddenSize, [["lm_head", vocabSize]]);
  return { embedding, layers, finalNorm: norm("model.norm", hiddenSize), head };
}
