import source from "../../shaders/logprobs.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { type Logprobs, MAX_LOGPROBS } from "../sampling/sampling-params";
import { gridModule, stepModule } from "./modules";
import { logitsModule, samplingRowModule } from "./sampling-row";
import { type DeviceVariant, enables, reduceModule } from "./variants";

/**
 * Log-softmax of the model's own logits at the sampled id and at the most likely ones, of the logit rows whose request asks,
 * as sampling/logprobs.ts defines it. Runs behind `sample`, and writes into the same buffer, behind the ids.
 */
export const logprobs = defineKernel({
  label: "logprobs",
  source,
  bindings: { params: "uniform", step: "read", logits: "read", rows: "read", sampled: "read_write" },
  overrides: [],
});

export function logprobsVariant(device: DeviceVariant): KernelVariant<never> {
  return {
    prelude: {
      enables: enables({ subgroups: device.subgroups }),
      constants: { WG: "256u", MAX_TOP: `${MAX_LOGPROBS}u` },
    },
    modules: [gridModule, stepModule, reduceModule(device), logitsModule, samplingRowModule],
    overrides: {},
  };
}

/** `words` begins with the row. */
export function unpackLogprobs(words: Uint32Array<ArrayBuffer>, numTop: number): Logprobs {
  const floats = new Float32Array(words.buffer, words.byteOffset);
  const top = Array.from({ length: numTop }, (_, i) => [words[2 + 2 * i], floats[3 + 2 * i]] as const);
  return { logprob: floats[1], top };
}

export const logprobsGrid = (numLogitRows: number): Grid => foldGrid(numLogitRows);
