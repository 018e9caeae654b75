import source from "../../shaders/update_block_tables.wgsl?raw";
import { defineKernel, foldGrid, type Grid, type KernelVariant } from "../gpu/kernel";
import { ceilDiv } from "../util/math";
import { gridModule, stepModule } from "./modules";

/** Writes a step's new block ids into the block tables. */
export const updateBlockTables = defineKernel({
  label: "update_block_tables",
  source,
  bindings: { step: "read", block_tables: "read_write" },
  overrides: [],
});

export const updateBlockTablesVariant: KernelVariant<never> = {
  prelude: {},
  modules: [gridModule, stepModule],
  overrides: {},
};

export const updateBlockTablesGrid = (numUpdates: number): Grid => foldGrid(ceilDiv(numUpdates, 64));
