import logits from "../../shaders/common/logits.wgsl?raw";
import samplingRow from "../../shaders/common/sampling_row.wgsl?raw";
import { f32, packParams, u32 } from "../gpu/params";
import type { WgslModule } from "../gpu/wgsl";
import {
  adjustsLogits,
  hasPenalties,
  MAX_LOGIT_BIASES,
  MAX_LOGPROBS,
  type SamplingParams,
} from "../sampling/sampling-params";
import { assert } from "../util/errors";
import { ceilDiv } from "../util/math";
import { commonModule } from "./modules";

export const logitsModule: WgslModule = commonModule("logits", logits);
export const samplingRowModule: WgslModule = commonModule("sampling_row", samplingRow);

/** Words of a row in `rows`. */
export const SAMPLING_ROW_WORDS = 12;
/** Words of a row in `biases`. */
export const BIAS_ROW_WORDS = 2 * MAX_LOGIT_BIASES;
/** Words of a row's logprobs: pairs of an id and its logprob, that of the sampled id first. */
export const LOGPROBS_ROW_WORDS = 2 * (1 + MAX_LOGPROBS);
/** Words of a row in `masks`: a bit an id. */
export const maskRowWords = (vocabSize: number): number => ceilDiv(vocabSize, 32);

/** As common/sampling_row.wgsl lays it out. */
export function packSamplingRow(params: SamplingParams): Uint32Array<ArrayBuffer> {
  const { temperature, topK, topP, minP, seed, numLogprobs } = params;
  const flags = [hasPenalties(params), adjustsLogits(params), numLogprobs !== null, params.isConstrained];
  return packParams([
    f32(temperature),
    u32(topK),
    f32(topP),
    f32(minP),
    u32(seed[0]),
    u32(seed[1]),
    u32(flags.reduce((bits, isSet, bit) => bits | (Number(isSet) << bit), 0)),
    f32(params.repetitionPenalty),
    f32(params.presencePenalty),
    f32(params.frequencyPenalty),
    u32(params.logitBias.size),
    u32(numLogprobs ?? 0),
  ]);
}

/** Params of the kernels over logits. `numLogits`: of a row, the vocabulary. `logitsStride`: f32 values from row to row, a multiple of 4. */
export function packLogitParams(numLogits: number, logitsStride: number, offset: number): Uint32Array<ArrayBuffer> {
  const isRight = numLogits > 0 && logitsStride >= numLogits && logitsStride % 4 === 0;
  assert(isRight, () => `rows of ${numLogits} logits, ${logitsStride} apart`);
  return packParams([u32(numLogits), u32(logitsStride), u32(offset)]);
}
