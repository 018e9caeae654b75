import type { Encoder } from "../gpu/encoder";
import { adjustLogits, adjustLogitsGrid, adjustLogitsVariant, countTokens, packBiases } from "../kernels/adjust-logits";
import { logprobs, logprobsGrid, logprobsVariant, unpackLogprobs } from "../kernels/logprobs";
import { SAMPLED_ROW_WORDS } from "../kernels/sample";
import { BIAS_ROW_WORDS, LOGPROBS_ROW_WORDS, maskRowWords, packLogitParams } from "../kernels/sampling-row";
import { logitRowCapacity, logitsStride } from "../models/scratch";
import type { Logprobs } from "../sampling/sampling-params";
import type { NewRow } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";
import type { SamplerParts } from "./sampler";
import { makeStage, type Stage } from "./stage";

/**
 * What only requests need that see other logits than the model's own (bias, penalties, a mask) or want logprobs: the stages before
 * and behind the sampler's. A lazy part.
 */
export class LogitStages {
  readonly #parts: SamplerParts;
  readonly #adjust: Stage;
  readonly #logprobs: Stage;

  static async create(parts: SamplerParts, sampled: GPUBuffer): Promise<LogitStages> {
    const { buffers, maxRows, pipelines, variant, logits, vocabSize } = parts;
    const { step, rows, tokenCounts, biases, masks } = parts.state;
    const params = (label: string, offset: number) =>
      buffers.uniform(`${label}.params`, packLogitParams(vocabSize, logitsStride(vocabSize), offset));
    const shared = { step, rows, logits };
    const [adjust, logprobsStage] = await Promise.all([
      makeStage(pipelines, adjustLogits, adjustLogitsVariant, {
        ...shared,
        params: params("adjust_logits", logitRowCapacity(maxRows)),
        token_counts: tokenCounts,
        biases,
        masks,
      }),
      makeStage(pipelines, logprobs, logprobsVariant(variant), {
        ...shared,
        params: params("logprobs", (maxRows * SAMPLED_ROW_WORDS) / 2),
        sampled,
      }),
    ]);
    return new LogitStages(parts, adjust, logprobsStage);
  }

  private constructor(parts: SamplerParts, adjust: Stage, logprobsStage: Stage) {
    this.#parts = parts;
    this.#adjust = adjust;
    this.#logprobs = logprobsStage;
  }

  writeRow({ row, sampling, history }: NewRow): void {
    const { device, state, vocabSize } = this.#parts;
    if (sampling.logitBias.size > 0) {
      device.queue.writeBuffer(state.biases, row * BIAS_ROW_WORDS * 4, packBiases(sampling.logitBias));
    }
    if (history) {
      const counts = countTokens(vocabSize, history.promptTokenIds, history.outputTokenIds);
      device.queue.writeBuffer(state.tokenCounts, row * counts.byteLength, counts);
    }
  }

  writeMask(row: number, mask: Uint32Array<ArrayBuffer> | undefined): void {
    const { device, state, vocabSize } = this.#parts;
    const numWords = maskRowWords(vocabSize);
    assert(mask?.length === numWords, () => `row ${row} has a mask of ${mask?.length} words, not ${numWords}`);
    device.queue.writeBuffer(state.masks, row * numWords * 4, mask);
  }

  encodeAdjust(encoder: Encoder, numRows: number): void {
    encoder.dispatch(this.#adjust.pipeline, this.#adjust.bindGroup, adjustLogitsGrid(numRows));
  }

  encodeLogprobs(encoder: Encoder, numRows: number): void {
    encoder.dispatch(this.#logprobs.pipeline, this.#logprobs.bindGroup, logprobsGrid(numRows));
  }

  /** Of logit row `index`, out of what was read back of a step. */
  unpackLogprobs(words: Uint32Array<ArrayBuffer>, index: number, numLogprobs: number): Logprobs {
    const { maxRows, vocabSize } = this.#parts;
    const own = words.subarray(maxRows * SAMPLED_ROW_WORDS + index * LOGPROBS_ROW_WORDS);
    return unpackLogprobs(own, Math.min(numLogprobs, vocabSize));
  }
}
