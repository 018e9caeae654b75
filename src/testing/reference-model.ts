import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { geluTanh, silu } from "../kernels/reference/activation";
import { attention } from "../kernels/reference/attention";
import { linear } from "../kernels/reference/linear";
import { rmsNorm } from "../kernels/reference/norm";
import { applyRope, ropeInverseFrequencies } from "../kernels/reference/rope";
import type { ModelConfig } from "../models/config";
import { parseModelConfig } from "../models/parse-config";
import { CairnError } from "../util/errors";
import { collectWeights, type LayerWeights, type ModelWeights } from "./reference-weights";
import { decodeSafetensors, type TensorMap } from "./safetensors";

/** Keys (rope applied) and values of one layer, one row of [numKvHeads * headDim] a position. */
interface LayerCache {
  readonly k: Float64Array[];
  readonly v: Float64Array[];
}

/** A model in plain float64 loops, one token at a time: what every other way of running it must agree with. */
export class ReferenceModel {
  readonly config: ModelConfig;
  readonly #weights: ModelWeights;
  /** By index in `config.ropes`. */
  readonly #inverseFrequencies: readonly Float64Array[];
  #caches: LayerCache[] = [];
  #maxAbsResidual = 0;

  private constructor(config: ModelConfig, weights: ModelWeights) {
    this.config = config;
    this.#weights = weights;
    this.#inverseFrequencies = config.ropes.map((rope) => ropeInverseFrequencies(rope, config.headDim));
    this.reset();
  }

  static fromTensors(config: ModelConfig, tensors: TensorMap): ReferenceModel {
    return new ReferenceModel(config, collectWeights(config, tensors));
  }

  /** Reads a directory in the Hugging Face layout whose weights are one model.safetensors. */
  static load(dir: string): ReferenceModel {
    const generationConfigPath = join(dir, "generation_config.json");
    const generationConfig = existsSync(generationConfigPath) ? readJson(generationConfigPath) : null;
    const config = parseModelConfig(readJson(join(dir, "config.json")), generationConfig);
    return ReferenceModel.fromTensors(config, decodeSafetensors(readFileSync(join(dir, "model.safetensors"))));
  }

  /** Tokens appended since the last reset. */
  get numTokens(): number {
    return this.#caches[0].k.length;
  }

  /** Largest magnitude that the residual stream has had since the last reset. */
  get maxAbsResidual(): number {
    return this.#maxAbsResidual;
  }

  /** Forgets all tokens. */
  reset(): void {
    this.#caches = this.config.layers.map(() => ({ k: [], v: [] }));
    this.#maxAbsResidual = 0;
  }

  /** The logits at each position of `tokenIds`, from position 0 on: what was appended before is forgotten. */
  forward(tokenIds: readonly number[]): Float64Array[] {
    this.reset();
    return tokenIds.map((tokenId) => this.append(tokenId));
  }

  /** Runs one token at the next position and returns its logits, [vocabSize]. */
  append(tokenId: number): Float64Array {
    const { vocabSize, hiddenSize, embeddingScale } = this.config;
    if (!Number.isInteger(tokenId) || tokenId < 0 || tokenId >= vocabSize) {
      throw new CairnError("invalid_request", `Token id ${tokenId} is not in [0, ${vocabSize})`, { param: "tokenId" });
    }
    const embedding = this.#weights.embedding.subarray(tokenId * hiddenSize, (tokenId + 1) * hiddenSize);
    const residual = Float64Array.from(embedding, (value) => value * embeddingScale);
    for (const [index, layer] of this.#weights.layers.entries()) {
      this.#addBlock(residual, this.#attention(residual, layer, index), layer.postAttentionNorm);
      this.#addBlock(residual, this.#mlp(residual, layer), layer.postMlpNorm);
    }
    return linear(this.#norm(residual, this.#weights.norm), this.#weights.head, vocabSize, hiddenSize);
  }

  #addBlock(residual: Float64Array, block: Float64Array, postNorm: Float32Array | null): void {
    const added = postNorm ? this.#norm(block, postNorm) : block;
    for (let i = 0; i < residual.length; i++) {
      residual[i] += added[i];
      this.#maxAbsResidual = Math.max(this.#maxAbsResidual, Math.abs(residual[i]));
    }
  }

  #attention(residual: Float64Array, layer: LayerWeights, index: number): Float64Array {
    const { hiddenSize, numHeads, numKvHeads, headDim, attentionScale } = this.config;
    const { window, rope } = this.config.layers[index];
    const cache = this.#caches[index];
    const position = cache.k.length;
    const x = this.#norm(residual, layer.inputNorm);
    const q = linear(x, layer.q, numHeads * headDim, hiddenSize);
    const k = linear(x, layer.k, numKvHeads * headDim, hiddenSize);
    cache.k.push(this.#normAndRotate(k, layer.kNorm, position, rope));
    cache.v.push(linear(x, layer.v, numKvHeads * headDim, hiddenSize));
    const attended = attention({
      q: this.#normAndRotate(q, layer.qNorm, position, rope),
      k: cache.k,
      v: cache.v,
      position,
      window,
      numHeads,
      numKvHeads,
      headDim,
      scale: attentionScale,
    });
    return linear(attended, layer.o, hiddenSize, numHeads * headDim);
  }

  /** QK-norm, where the model has it, and rope on each head of a row. */
  #normAndRotate(row: Float64Array, weight: Float32Array | null, position: number, rope: number): Float64Array {
    const { headDim } = this.config;
    const out = new Float64Array(row.length);
    for (let start = 0; start < row.length; start += headDim) {
      const head = row.subarray(start, start + headDim);
      out.set(applyRope(weight ? this.#norm(head, weight) : head, position, this.#inverseFrequencies[rope]), start);
    }
    return out;
  }

  #mlp(residual: Float64Array, layer: LayerWeights): Float64Array {
    const { hiddenSize, intermediateSize, activation } = this.config;
    const activate = activation === "silu" ? silu : geluTanh;
    const x = this.#norm(residual, layer.mlpNorm);
    const gate = linear(x, layer.gate, intermediateSize, hiddenSize);
    const up = linear(x, layer.up, intermediateSize, hiddenSize);
    const gated = gate.map((value, i) => activate(value) * up[i]);
    return linear(gated, layer.down, hiddenSize, intermediateSize);
  }

  #norm(x: Float64Array, weight: Float32Array): Float64Array {
    return rmsNorm(x, weight, this.config.rmsNormEps, this.config.normWeight === "one-plus" ? 1 : 0);
  }
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}
