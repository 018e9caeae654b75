import source from "../../shaders/adjust_logits.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { f32, packParams, u32 } from "../gpu/params";
import { MAX_LOGIT_BIASES } from "../sampling/sampling-params";
import { gridModule, stepModule } from "./modules";
import { samplingRowModule } from "./sampling-row";

/**
 * Applies logit bias, penalties and masks to the logit rows whose request has any, as sampling/adjust-logits.ts defines them. The
 * result goes to the adjusted rows, behind the model's own, which stay as they are.
 */
export const adjustLogits = defineKernel({
  label: "adjust_logits",
  source,
  bindings: {
    params: "uniform",
    step: "read",
    rows: "read",
    token_counts: "read",
    biases: "read",
    masks: "read",
    logits: "read_write",
  },
  overrides: [],
});

export const adjustLogitsVariant: KernelVariant<never> = {
  prelude: { constants: { WG: "256u", MAX_BIASES: `${MAX_LOGIT_BIASES}u` } },
  modules: [gridModule, stepModule, samplingRowModule],
  overrides: {},
};

export const packBiases = (logitBias: ReadonlyMap<number, number>): Uint32Array<ArrayBuffer> =>
  packParams([...logitBias].flatMap(([id, bias]) => [u32(id), f32(bias)]));

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

export const adjustLogitsGrid = (numLogitRows: number): Grid => foldGrid(numLogitRows);
