import { quantWeightModules } from "../kernels/quant-modules";
import { packQuantizeParams, quantizeRows, quantizeRowsGrid, quantizeRowsVariant } from "../kernels/quantize-rows";

/** What quantized weights need besides: their rows are made by a kernel, and read by modules of other kernels. */
export const quantization = {
  kernel: quantizeRows,
  variant: quantizeRowsVariant,
  packParams: packQuantizeParams,
  grid: quantizeRowsGrid,
  weightModules: quantWeightModules,
};

export type Quantization = typeof quantization;
