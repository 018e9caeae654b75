import type { WgslModule } from "../gpu/wgsl";
import { floatWeightModules, type WeightType } from "./modules";
import { quantWeightModules } from "./quant-modules";

/** What reads rows of each type, whether or not a page loads it. */
export const allWeightModules: Readonly<Record<WeightType, readonly WgslModule[]>> = {
  ...floatWeightModules,
  ...quantWeightModules,
};
