import source from "../../shaders/embed.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { f32, packParams, u32 } from "../gpu/params";
import type { WgslModule } from "../gpu/wgsl";
import { gridModule, stepModule } from "./modules";

/** x [tokens, width] = scale * rows of the embedding [ids, width], f32. */
export const embed = defineKernel({
  label: "embed",
  source,
  bindings: { params: "uniform", step: "read", last_ids: "read", weights: "read", x: "read_write" },
  overrides: ["WIDTH"],
});

/** `weightModules`: what reads the rows. */
export function embedVariant(weightModules: readonly WgslModule[], width: number): KernelVariant<"WIDTH"> {
  return { prelude: {}, modules: [gridModule, stepModule, ...weightModules], overrides: { WIDTH: width } };
}

/** The slice of the embedding that one dispatch reads: ids [firstId, firstId + numIds). */
export const packEmbedParams = (firstId: number, numIds: number, scale: number) =>
  packParams([u32(firstId), u32(numIds), f32(scale)]);

export const embedGrid = (numTokens: number): Grid => foldGrid(numTokens);
