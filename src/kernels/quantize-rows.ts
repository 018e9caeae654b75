import source from "../../shaders/quantize_rows.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { packParams, u32 } from "../gpu/params";
import { ceilDiv } from "../util/math";
import { type FloatType, gridModule, type QuantType } from "./modules";
import { QUANT_BLOCK } from "./quant-block";

/** Quantizes rows of a checkpoint tensor into a Linear's layout, at a stride of rows. Bit for bit the same on every device. */
export const quantizeRows = defineKernel({
  label: "quantize_rows",
  source,
  bindings: { params: "uniform", source: "read", weights: "read_write" },
  overrides: [],
});

export const quantizeRowsVariant: KernelVariant<never> = { prelude: {}, modules: [gridModule], overrides: {} };

export interface QuantizeParams {
  /** First source row to quantize. */
  readonly sourceRow: number;
  readonly numRows: number;
  /** Elements of a row. */
  readonly width: number;
  readonly sourceType: FloatType;
  readonly type: QuantType;
  /** Destination row of the first one. */
  readonly firstRow: number;
  /** Destination rows from one source row to the next. */
  readonly rowStep: number;
}

export const packQuantizeParams = ({
  sourceRow,
  numRows,
  width,
  sourceType,
  type,
  firstRow,
  rowStep,
}: QuantizeParams) =>
  packParams(
    [
      sourceRow,
      numRows,
      width,
      { f32: 0, f16: 1, bf16: 2 }[sourceType],
      { q8_0: 8, q4_0: 4 }[type],
      firstRow,
      rowStep,
    ].map(u32),
  );

export const quantizeRowsGrid = ({ numRows, width }: QuantizeParams): Grid =>
  foldGrid(ceilDiv(numRows * ceilDiv(width, 2 * QUANT_BLOCK), 64));
