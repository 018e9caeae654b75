import type { Buffers } from "../gpu/buffers";
import type { Encoder } from "../gpu/encoder";
import type { Bindings, ComputePipeline, Kernel, KernelVariant } from "../gpu/kernel";
import type { PipelineCache } from "../gpu/pipeline-cache";
import {
  adjustLogits,
  adjustLogitsGrid,
  adjustLogitsVariant,
  BIAS_ROW_WORDS,
  packBiases,
} from "../kernels/adjust-logits";
import { LOGPROBS_ROW_WORDS, logprobs, logprobsGrid, logprobsVariant, unpackLogprobs } from "../kernels/logprobs";
import { SAMPLED_NOT_FINITE, SAMPLED_ROW_WORDS, sample, sampleGrid, sampleVariant } from "../kernels/sample";
import { countTokens, packLogitParams, packSamplingRow, SAMPLING_ROW_WORDS } from "../kernels/sampling-row";
import type { DeviceVariant } from "../kernels/variants";
import { logitRowCapacity, logitsStride } from "../models/scratch";
import { adjustsLogits, type SamplingParams } from "../sampling/sampling-params";
import type { NewRow, SampledToken, SchedulerOutput } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";
import type { StepState } from "./step-state";

export interface SamplerParts {
  readonly device: GPUDevice;
  readonly buffers: Buffers;
  readonly pipelines: PipelineCache;
  readonly variant: DeviceVariant;
  readonly state: StepState;
  /** [rows, vocab], then as many rows for adjusted ones; see logitRowCapacity. */
  readonly logits: GPUBuffer;
  readonly vocabSize: number;
  readonly maxRows: number;
}

/** For each constrained row that a step samples for, a bit for each id that it may sample. */
export type StepMasks = ReadonlyMap<number, Uint32Array<ArrayBuffer>>;

/** What a step samples, in the order of its logit rows. */
export interface StepSampling {
  readonly requests: readonly { readonly requestId: string; readonly sampling: SamplingParams }[];
  /** Of `sampled`, from its start, to be read back. */
  readonly bytes: number;
}

interface Stage {
  readonly pipeline: ComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/** The last stages of a step: logits -> ids, and logprobs. Logits are adjusted, and logprobs made, only where a request of the step asks. */
export class Sampler {
  /** Ids and flags of each logit row, then the logprobs of each. */
  readonly sampled: GPUBuffer;
  readonly #parts: SamplerParts;
  readonly #adjust: Stage;
  readonly #sample: Stage;
  readonly #logprobs: Stage;
  readonly #samplingOfRow: SamplingParams[] = [];

  static async create(parts: SamplerParts): Promise<Sampler> {
    const { buffers, maxRows, pipelines, variant, logits, vocabSize } = parts;
    const { step, rows, lastIds, tokenCounts, biases, masks } = parts.state;
    const sampled = buffers.storage("sampled", maxRows * (SAMPLED_ROW_WORDS + LOGPROBS_ROW_WORDS) * 4);
    const params = (label: string, offset: number) =>
      buffers.uniform(`${label}.params`, packLogitParams(vocabSize, logitsStride(vocabSize), offset));
    const shared = { step, rows, logits };
    const adjusted = { ...shared, params: params("sample", logitRowCapacity(maxRows)), token_counts: tokenCounts };
    const stages = await Promise.all([
      makeStage(pipelines, adjustLogits, adjustLogitsVariant, { ...adjusted, biases, masks }),
      makeStage(pipelines, sample, sampleVariant(variant), { ...adjusted, last_ids: lastIds, sampled }),
      makeStage(pipelines, logprobs, logprobsVariant(variant), {
        ...shared,
        params: params("logprobs", (maxRows * SAMPLED_ROW_WORDS) / 2),
        sampled,
      }),
    ]);
    return new Sampler(parts, sampled, stages);
  }

  private constructor(parts: SamplerParts, sampled: GPUBuffer, [adjust, draw, logprobsStage]: readonly Stage[]) {
    this.#parts = parts;
    this.sampled = sampled;
    this.#adjust = adjust;
    this.#sample = draw;
    this.#logprobs = logprobsStage;
  }

  /** Begins a row's life; before the step that uses it first. */
  writeRow({ row, sampling, history }: NewRow): void {
    const { device, state, vocabSize } = this.#parts;
    this.#samplingOfRow[row] = sampling;
    device.queue.writeBuffer(state.rows, row * SAMPLING_ROW_WORDS * 4, packSamplingRow(sampling));
    if (sampling.logitBias.size > 0) {
      device.queue.writeBuffer(state.biases, row * BIAS_ROW_WORDS * 4, packBiases(sampling.logitBias));
    }
    if (history) {
      const counts = countTokens(vocabSize, history.promptTokenIds, history.outputTokenIds);
      device.queue.writeBuffer(state.tokenCounts, row * counts.byteLength, counts);
    }
  }

  /** `masks`: of the constrained rows that sample. */
  encode(encoder: Encoder, { scheduled }: SchedulerOutput, masks: StepMasks): StepSampling {
    const requests = scheduled
      .filter(({ samples }) => samples)
      .map(({ requestId, row }) => ({ requestId, sampling: this.#samplingOfRow[row] }));
    for (const { row, samples } of scheduled) if (samples) this.#writeMask(row, masks.get(row));
    const numRows = requests.length;
    const hasLogprobs = requests.some(({ sampling }) => sampling.numLogprobs !== null);
    if (requests.some(({ sampling }) => adjustsLogits(sampling))) {
      encoder.dispatch(this.#adjust.pipeline, this.#adjust.bindGroup, adjustLogitsGrid(numRows));
    }
    if (numRows > 0) encoder.dispatch(this.#sample.pipeline, this.#sample.bindGroup, sampleGrid(numRows));
    if (hasLogprobs) encoder.dispatch(this.#logprobs.pipeline, this.#logprobs.bindGroup, logprobsGrid(numRows));
    return { requests, bytes: hasLogprobs ? this.sampled.size : this.#parts.maxRows * SAMPLED_ROW_WORDS * 4 };
  }

  #writeMask(row: number, mask: Uint32Array<ArrayBuffer> | undefined): void {
    const { device, state } = this.#parts;
    assert(this.#samplingOfRow[row].isConstrained === !!mask, "a mask is missing");
    if (mask) device.queue.writeBuffer(state.masks, row * mask.byteLength, mask);
  }

  /** What was read back of a step: `words` are `bytes` of `sampled`. */
  unpack({ requests }: StepSampling, words: Uint32Array<ArrayBuffer>): SampledToken[] {
    const { maxRows, vocabSize } = this.#parts;
    return requests.map(({ requestId, sampling: { numLogprobs } }, index) => {
      const [tokenId, flags] = words.subarray(index * SAMPLED_ROW_WORDS);
      const sampled = { requestId, tokenId, finite: (flags & SAMPLED_NOT_FINITE) === 0 };
      if (numLogprobs === null) return sampled;
      const own = words.subarray(maxRows * SAMPLED_ROW_WORDS + index * LOGPROBS_ROW_WORDS);
      return { ...sampled, logprobs: unpackLogprobs(own, Math.min(numLogprobs, vocabSize)) };
    });
  }
}

async function makeStage<B extends Bindings>(
  pipelines: PipelineCache,
  kernel: Kernel<B, never>,
  variant: KernelVariant<never>,
  buffers: Readonly<Record<keyof B, GPUBuffer>>,
): Promise<Stage> {
  const pipeline = await pipelines.get(kernel, variant);
  return { pipeline, bindGroup: pipeline.bind(kernel.label, buffers) };
}
