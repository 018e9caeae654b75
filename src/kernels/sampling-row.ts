import logits from "../../shaders/common/logits.wgsl?raw";
import samplingRow from "../../shaders/common/sampling_row.wgsl?raw";
import { f32, packParams, u32 } from "../gpu/params";
import type { WgslModule } from "../gpu/wgsl";
import { adjustsLogits, hasPenalties, type SamplingParams } from "../sampling/sampling-params";
import { CairnError } from "../util/errors";
import { commonModule } from "./modules";

export const logitsModule: WgslModule = commonModule("logits", logits);
export const samplingRowModule: WgslModule = commonModule("sampling_row", samplingRow);

/** Words of a row in `rows`. */
export const SAMPLING_ROW_WORDS = 12;

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

/** A row of the token counts [vocab size]: how often an id is in the output, the highest bit if it is in the prompt. */
export function countTokens(
  vocabSize: number,
  promptTokenIds: readonly number[],
  outputTokenIds: readonly number[],
): Uint32Array<ArrayBuffer> {
  const counts = new Uint32Array(vocabSize);
  for (const id of promptTokenIds) counts[id] = 0x80000000;
  for (const id of outputTokenIds) counts[id] += 1;
  return counts;
}

/** Params of the kernels over logits. `numLogits`: of a row, the vocabulary. `logitsStride`: f32 values from row to row, a multiple of 4. */
export function packLogitParams(numLogits: number, logitsStride: number, offset: number): Uint32Array<ArrayBuffer> {
  if (numLogits < 1 || logitsStride < numLogits || logitsStride % 4 !== 0) {
    const message = `rows of ${numLogits} logits cannot be ${logitsStride} apart: the stride is a multiple of 4`;
    throw new CairnError("internal", message, { numLogits, logitsStride });
  }
  return packParams([u32(numLogits), u32(logitsStride), u32(offset)]);
}
