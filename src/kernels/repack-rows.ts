import source from "../../shaders/repack_rows.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { packParams, u32 } from "../gpu/params";
import { ceilDiv } from "../util/math";
import { gridModule } from "./modules";

/** Copies rows of a checkpoint tensor into a Linear's layout: padded to units of eight elements, at a stride of rows. */
export const repackRows = defineKernel({
  label: "repack_rows",
  source,
  bindings: { params: "uniform", source: "read", weights: "read_write" },
  overrides: [],
});

export const repackRowsVariant: KernelVariant<never> = { prelude: {}, modules: [gridModule], overrides: {} };

export interface RepackParams {
  /** First source row to copy. */
  readonly sourceRow: number;
  readonly numRows: number;
  /** Bytes of a source row; even. */
  readonly rowBytes: number;
  /** 32-bit words of a destination row. */
  readonly rowWords: number;
  /** Destination row of the first one. */
  readonly firstRow: number;
  /** Destination rows from one source row to the next. */
  readonly rowStep: number;
}

export const packRepackParams = (p: RepackParams) =>
  packParams([p.sourceRow, p.numRows, p.rowBytes, p.rowWords, p.firstRow, p.rowStep].map(u32));

export const repackRowsGrid = (p: RepackParams): Grid => foldGrid(ceilDiv(p.numRows * p.rowWords, 256));
