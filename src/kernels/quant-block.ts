/** Elements of a quantized row that share a scale. */
export const QUANT_BLOCK = 32;
