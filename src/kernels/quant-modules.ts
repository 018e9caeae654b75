import quantRow from "../../shaders/common/quant_row.wgsl?raw";
import weightQ4 from "../../shaders/common/weight_q4_0.wgsl?raw";
import weightQ8 from "../../shaders/common/weight_q8_0.wgsl?raw";
import type { WgslModule } from "../gpu/wgsl";
import type { QuantType } from "./modules";

const quantRowModule: WgslModule = { name: "common/quant_row.wgsl", source: quantRow };

/** What defines weight_load8 for quantized rows. */
export const quantWeightModules: Readonly<Record<QuantType, readonly WgslModule[]>> = {
  q8_0: [quantRowModule, { name: "common/weight_q8_0.wgsl", source: weightQ8 }],
  q4_0: [quantRowModule, { name: "common/weight_q4_0.wgsl", source: weightQ4 }],
};
