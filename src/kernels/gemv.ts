import source from "../../shaders/gemv.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { f32, packParams, u32 } from "../gpu/params";
import type { WgslModule } from "../gpu/wgsl";
import { ceilDiv } from "../util/math";
import { epilogueValues, type LinearOutput } from "./linear";
import { activationModule, gridModule, normsModule, rowModule, stepModule } from "./modules";
import { stepPartIndex } from "./step-part";
import { type DeviceVariant, enables, reduceModule } from "./variants";

/** out [tokens, rows] = in [tokens, width] x weights [rows, width]^T for few tokens, with RMSNorm of the input folded in. */
export const gemv = defineKernel({
  label: "gemv",
  source,
  bindings: {
    params: "uniform",
    step: "read",
    x: "read",
    y: "read",
    norms: "read",
    weights: "read",
    x_out: "read_write",
    out: "read_write",
  },
  overrides: ["IN_WIDTH", "PROLOGUE"],
});

/** Tokens that a workgroup serves: one where there is one, else four. */
export const GEMV_TOKEN_TILES = [1, 4] as const;
export type GemvTokenTile = (typeof GEMV_TOKEN_TILES)[number];

export type Prologue = "none" | "norm" | "post-norm";

export interface GemvOptions {
  readonly width: number;
  /** What reads the weights' rows. */
  readonly weightModules: readonly WgslModule[];
  readonly tokenTile: GemvTokenTile;
  readonly prologue: Prologue;
}

export function gemvVariant(device: DeviceVariant, options: GemvOptions): KernelVariant<"IN_WIDTH" | "PROLOGUE"> {
  return {
    prelude: {
      enables: enables({ subgroups: device.subgroups }),
      // One subgroup on most GPUs, so that sums need not wait for other threads.
      constants: { WG: "32u", M_TILE: `${options.tokenTile}u` },
    },
    modules: [
      gridModule,
      stepModule,
      rowModule,
      normsModule,
      activationModule,
      reduceModule(device),
      ...options.weightModules,
    ],
    overrides: {
      IN_WIDTH: options.width,
      PROLOGUE: { none: 0, norm: 1, "post-norm": 2 }[options.prologue],
    },
  };
}

export interface GemvParams extends LinearOutput {
  /** Offsets into `norms` in units of eight elements. */
  readonly normOffset: number;
  readonly postOffset: number;
  readonly eps: number;
  /** With prologue `post-norm`: this slice stores the new residual. */
  readonly storesX: boolean;
}

export const packGemvParams = (p: GemvParams) =>
  packParams([
    u32(p.numRows),
    u32(p.outStride),
    u32(p.outOffset),
    u32(stepPartIndex(p.part)),
    u32(p.normOffset),
    u32(p.postOffset),
    f32(p.eps),
    u32(Number(p.storesX)),
    ...epilogueValues(p.epilogue),
  ]);

export const gemvGrid = (numRows: number, numTokens: number, tokenTile: GemvTokenTile): Grid =>
  foldGrid(ceilDiv(numRows, 4) * ceilDiv(numTokens, tokenTile));
