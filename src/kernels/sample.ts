import draw from "../../shaders/common/draw.wgsl?raw";
import random from "../../shaders/common/random.wgsl?raw";
import threshold from "../../shaders/common/threshold.wgsl?raw";
import source from "../../shaders/sample.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { commonModule, gridModule, stepModule } from "./modules";
import { logitsModule, samplingRowModule } from "./sampling-row";
import { type DeviceVariant, enables, reduceModule } from "./variants";

/**
 * Samples an id from each logit row of the step into `sampled` and, for the next step, into `last_ids` of its state row.
 * The result is that of sampling/sample.ts, up to the rounding of f32 masses. Rows with logit bias, penalties or a mask are read
 * where `adjust_logits` wrote them; the id is counted where the request has penalties.
 */
export const sample = defineKernel({
  label: "sample",
  source,
  bindings: {
    params: "uniform",
    step: "read",
    logits: "read",
    rows: "read",
    last_ids: "read_write",
    sampled: "read_write",
    token_counts: "read_write",
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
      logitsModule,
      samplingRowModule,
      commonModule("random", random),
      commonModule("threshold", threshold),
      commonModule("draw", draw),
    ],
    overrides: {},
  };
}

/** A row of `sampled`: the id, and flags. */
export const SAMPLED_ROW_WORDS = 2;

/** Flag: a logit was NaN or +infinity, or none was finite; the id is then 0 and means nothing. */
export const SAMPLED_NOT_FINITE = 1;

export const sampleGrid = (numLogitRows: number): Grid => foldGrid(numLogitRows);
