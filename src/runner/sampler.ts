import type { Buffers } from "../gpu/buffers";
import type { Encoder } from "../gpu/encoder";
import type { PipelineCache } from "../gpu/pipeline-cache";
import { SAMPLED_NOT_FINITE, SAMPLED_ROW_WORDS, sample, sampleGrid, sampleVariant } from "../kernels/sample";
import { LOGPROBS_ROW_WORDS, packLogitParams, packSamplingRow, SAMPLING_ROW_WORDS } from "../kernels/sampling-row";
import type { DeviceVariant } from "../kernels/variants";
import { logitRowCapacity, logitsStride } from "../models/scratch";
import { adjustsLogits, type SamplingParams } from "../sampling/sampling-params";
import type { NewRow, SampledToken, SchedulerOutput } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";
import type { LogitStages } from "./logit-stages";
import { makeStage, type Stage } from "./stage";
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

/** The last stages of a step: logits -> ids, and logprobs. Logits are adjusted, and logprobs made, only where a request of the step asks. */
export class Sampler {
  /** Ids and flags of each logit row, then the logprobs of each. */
  readonly sampled: GPUBuffer;
  readonly #parts: SamplerParts;
  readonly #sample: Stage;
  readonly #samplingOfRow: SamplingParams[] = [];
  #logitStages: LogitStages | null = null;

  static async create(parts: SamplerParts): Promise<Sampler> {
    const { buffers, maxRows, pipelines, variant, logits, vocabSize } = parts;
    const { step, rows, lastIds, tokenCounts } = parts.state;
    const sampled = buffers.storage("sampled", maxRows * (SAMPLED_ROW_WORDS + LOGPROBS_ROW_WORDS) * 4);
    const params = packLogitParams(vocabSize, logitsStride(vocabSize), logitRowCapacity(maxRows));
    const stage = await makeStage(pipelines, sample, sampleVariant(variant), {
      params: buffers.uniform("sample.params", params),
      step,
      rows,
      logits,
      token_counts: tokenCounts,
      last_ids: lastIds,
      sampled,
    });
    return new Sampler(parts, sampled, stage);
  }

  private constructor(parts: SamplerParts, sampled: GPUBuffer, stage: Stage) {
    this.#parts = parts;
    this.sampled = sampled;
    this.#sample = stage;
  }

  get hasLogitStages(): boolean {
    return this.#logitStages !== null;
  }

  /** Requests that `needsLogitStages` says yes to may sample from now on. */
  async addLogitStages(make: typeof LogitStages): Promise<void> {
    this.#logitStages = await make.create(this.#parts, this.sampled);
  }

  /** Begins a row's life; before the step that uses it first. */
  writeRow(newRow: NewRow): void {
    const { row, sampling } = newRow;
    const { device, state } = this.#parts;
    this.#samplingOfRow[row] = sampling;
    device.queue.writeBuffer(state.rows, row * SAMPLING_ROW_WORDS * 4, packSamplingRow(sampling));
    if (needsLogitStages(sampling)) this.#stages.writeRow(newRow);
  }

  /** `masks`: of the constrained rows that sample. */
  encode(encoder: Encoder, { scheduled }: SchedulerOutput, masks: StepMasks): StepSampling {
    const sampling = scheduled.filter(({ samples }) => samples);
    const requests = sampling.map(({ requestId, row }) => ({ requestId, sampling: this.#samplingOfRow[row] }));
    const numRows = requests.length;
    const hasLogprobs = requests.some(({ sampling }) => sampling.numLogprobs !== null);
    for (const { row } of sampling)
      if (this.#samplingOfRow[row].isConstrained) this.#stages.writeMask(row, masks.get(row));
    if (requests.some(({ sampling }) => adjustsLogits(sampling))) this.#stages.encodeAdjust(encoder, numRows);
    if (numRows > 0) encoder.dispatch(this.#sample.pipeline, this.#sample.bindGroup, sampleGrid(numRows));
    if (hasLogprobs) this.#stages.encodeLogprobs(encoder, numRows);
    return { requests, bytes: hasLogprobs ? this.sampled.size : this.#parts.maxRows * SAMPLED_ROW_WORDS * 4 };
  }

  /** What was read back of a step: `words` are `bytes` of `sampled`. */
  unpack({ requests }: StepSampling, words: Uint32Array<ArrayBuffer>): SampledToken[] {
    return requests.map(({ requestId, sampling: { numLogprobs } }, index) => {
      const [tokenId, flags] = words.subarray(index * SAMPLED_ROW_WORDS);
      const sampled = { requestId, tokenId, finite: (flags & SAMPLED_NOT_FINITE) === 0 };
      if (numLogprobs === null) return sampled;
      return { ...sampled, logprobs: this.#stages.unpackLogprobs(words, index, numLogprobs) };
    });
  }

  get #stages(): LogitStages {
    assert(this.#logitStages, "no logit stages");
    return this.#logitStages;
  }
}

/** It sees other logits than the model's own, or wants logprobs. */
export function needsLogitStages(sampling: SamplingParams): boolean {
  return adjustsLogits(sampling) || sampling.numLogprobs !== null;
}
