import source from "../../shaders/gemm.wgsl?raw";
import { defineKernel, type Grid, type KernelVariant } from "../gpu/kernel";
import { packParams, u32 } from "../gpu/params";
import type { WgslModule } from "../gpu/wgsl";
import { ceilDiv } from "../util/math";
import { epilogueValues, type LinearOutput } from "./linear";
import { activationModule, rowModule, stepModule } from "./modules";
import { stepPartIndex } from "./step-part";
import { type DeviceVariant, enables } from "./variants";

/** out [tokens, rows] = x [tokens, width] x weights [rows, width]^T, tiled, for any number of tokens. */
export const gemm = defineKernel({
  label: "gemm",
  source,
  bindings: { params: "uniform", step: "read", x: "read", weights: "read", out: "read_write" },
  overrides: [],
});

export interface GemmOptions {
  /** What reads the weights' rows. */
  readonly weightModules: readonly WgslModule[];
  /** The input is known to stay in f16's range (a normed row, an attention output), so its tiles may be f16. */
  readonly boundedInput: boolean;
}

export function gemmVariant(device: DeviceVariant, options: GemmOptions): KernelVariant<never> {
  const f16 = device.f16 && options.boundedInput;
  return {
    prelude: { enables: enables({ f16 }), aliases: { elem: f16 ? "f16" : "f32" } },
    modules: [stepModule, rowModule, activationModule, ...options.weightModules],
    overrides: {},
  };
}

export interface GemmParams extends LinearOutput {
  /** Elements of an input row. */
  readonly width: number;
}

export const packGemmParams = (p: GemmParams) =>
  packParams([
    u32(p.numRows),
    u32(p.outStride),
    u32(p.outOffset),
    u32(stepPartIndex(p.part)),
    ...epilogueValues(p.epilogue),
    u32(p.width),
  ]);

export const gemmGrid = (numRows: number, numTokens: number): Grid => [ceilDiv(numRows, 64), ceilDiv(numTokens, 32)];
