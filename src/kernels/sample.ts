import draw from "../../shaders/common/draw.wgsl?raw";
import logits from "../../shaders/common/logits.wgsl?raw";
import random from "../../shaders/common/random.wgsl?raw";
import threshold from "../../shaders/common/threshold.wgsl?raw";
import source from "../../shaders/sample.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { f32, packParams, u32 } from "../gpu/params";
import type { SamplingParams } from "../sampling/sampling-params";
import { CairnError } from "../util/errors";
import { gridModule, stepModule } from "./modules";
import { type DeviceVariant, enables, reduceModule } from "./variants";

/**
 * Samples an id from each logit row of the step into `sampled` and, for the next step, into `last_ids` of its state row.
 * The result is that of sampling/sample.ts, up to the rounding of f32 masses.
 */
export const sample = defineKernel({
  label: "sample",
  source: { name: "sample.wgsl", source },
  bindings: {
    params: "uniform",
    step: "read",
    logits: "read",
    rows: "read",
    last_ids: "read_write",
    sampled: "read_write",
  },
  overrides: [],
});

export function sampleVariant(device: DeviceVariant): KernelVariant<never> {
  return {
    prelude: { enables: enables({ subgroups: device.subgroups }), constants: { WG: "256u" } },
    modules: [
      gridModule,
      stepModule,
      reduceModule(device),
      { name: "common/logits.wgsl", source: logits },
      { name: "common/random.wgsl", source: random },
      { name: "common/threshold.wgsl", source: threshold },
      { name: "common/draw.wgsl", source: draw },
    ],
    overrides: {},
  };
}

/** `numLogits`: of a row, the vocabulary. `logitsStride`: f32 values from row to row, a multiple of 4. */
export function packSampleParams(numLogits: number, logitsStride: number): Uint32Array<ArrayBuffer> {
  if (numLogits < 1 || logitsStride < numLogits || logitsStride % 4 !== 0) {
    const message = `rows of ${numLogits} logits cannot be ${logitsStride} apart: the stride is a multiple of 4`;
    throw new CairnError("internal", message, { numLogits, logitsStride });
  }
  return packParams([u32(numLogits), u32(logitsStride)]);
}

/** Words of a row in `rows`. */
export const SAMPLING_ROW_WORDS = 8;

export const packSamplingRow = ({ temperature, topK, topP, minP, seed }: SamplingParams) =>
  packParams([f32(temperature), u32(topK), f32(topP), f32(minP), u32(seed[0]), u32(seed[1]), u32(0), u32(0)]);

/** A row of `sampled`: the id, and flags. */
export const SAMPLED_ROW_WORDS = 2;

/** Flag: a logit was NaN or +infinity, or none was finite; the id is then 0 and means nothing. */
export const SAMPLED_NOT_FINITE = 1;

export const sampleGrid = (numLogitRows: number): Grid => foldGrid(numLogitRows);
