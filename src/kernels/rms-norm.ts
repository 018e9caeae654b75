import source from "../../shaders/rms_norm.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { f32, packParams, u32 } from "../gpu/params";
import { gridModule, normsModule, rowModule, stepModule } from "./modules";
import { type StepPart, stepPartIndex } from "./step-part";
import { type DeviceVariant, enables, reduceModule } from "./variants";

/** out = norm(x) * weight by row; with `post` first x += norm(y) * postWeight. Rows of `width` f32 in units of eight. */
export const rmsNorm = defineKernel({
  label: "rms_norm",
  source,
  bindings: { params: "uniform", step: "read", y: "read", norms: "read", x: "read_write", out: "read_write" },
  overrides: ["IN_WIDTH", "POST", "GATHER"],
});

export interface RmsNormOptions {
  readonly width: number;
  readonly post: boolean;
  /** Output row r is the token of logit row r, where that token is in the part; other rows are left alone. */
  readonly gather: boolean;
}

export function rmsNormVariant(
  device: DeviceVariant,
  options: RmsNormOptions,
): KernelVariant<"IN_WIDTH" | "POST" | "GATHER"> {
  return {
    prelude: { enables: enables({ subgroups: device.subgroups }), constants: { WG: "64u" } },
    modules: [gridModule, stepModule, rowModule, normsModule, reduceModule(device)],
    overrides: { IN_WIDTH: options.width, POST: Number(options.post), GATHER: Number(options.gather) },
  };
}

/** Offsets into `norms` in units of eight elements; `postOffset` is read only with `post`. */
export const packRmsNormParams = (normOffset: number, postOffset: number, eps: number, part: StepPart) =>
  packParams([u32(normOffset), u32(postOffset), f32(eps), u32(stepPartIndex(part))]);

export const rmsNormGrid = (numRows: number): Grid => foldGrid(numRows);
