import type { Grid } from "../gpu/kernel";
import { blockTableOffset } from "../runner/step-buffer";
import { assertSame } from "../testing/kernel-asserts";
import { type KernelCase, NAN_WORD } from "../testing/kernel-case";
import { TEST_STEP_SIZES, testStep, uploadStep } from "../testing/test-step";
import { updateBlockTables, updateBlockTablesGrid, updateBlockTablesVariant } from "./update-block-tables";

interface Update {
  readonly group: number;
  readonly row: number;
  readonly firstIndex: number;
  readonly blockIds: readonly number[];
}

const { maxRows, maxBlocksPerRow, numGroups } = TEST_STEP_SIZES;
const ids = (length: number, first: number) => Array.from({ length }, (_, i) => first + 7 * i);

function matches(name: string, updates: readonly Update[], grid?: Grid): KernelCase {
  return {
    name: `update_block_tables: ${name}`,
    ignoresF16: true,
    ignoresSubgroups: true,
    async run(ctx) {
      const step = testStep(
        updates.map(({ row, ...update }) => ({ numTokens: 3, row, blockTableUpdates: [update], samples: true })),
      );
      const numEntries = numGroups * maxRows * maxBlocksPerRow;
      const tables = ctx.empty("block_tables", numEntries * 4);
      const pipeline = await ctx.pipelines.get(updateBlockTables, updateBlockTablesVariant);
      const bindGroup = pipeline.bind("update_block_tables", {
        step: uploadStep(ctx, step),
        block_tables: tables,
      });
      ctx.dispatch(pipeline, bindGroup, grid ?? updateBlockTablesGrid(step.numBlockTableUpdates));
      const expected = new Uint32Array(numEntries).fill(NAN_WORD);
      for (const { group, row, firstIndex, blockIds } of updates) {
        expected.set(blockIds, blockTableOffset(TEST_STEP_SIZES, group, row) + firstIndex);
      }
      assertSame("block tables", await ctx.readU32(tables), expected);
    },
  };
}

export const updateBlockTablesCases: readonly KernelCase[] = [
  matches("one entry", [{ group: 1, row: 5, firstIndex: maxBlocksPerRow - 1, blockIds: [77] }]),
  ...[63, 64, 65].map((count) =>
    matches(`${count} entries`, [
      { group: 0, row: 0, firstIndex: 0, blockIds: ids(40, 1) },
      { group: 1, row: 7, firstIndex: 2, blockIds: ids(count - 40, 500) },
    ]),
  ),
  // As grids fold over 65,535 groups, with more groups than there are updates for.
  matches("a folded grid", [{ group: 0, row: 3, firstIndex: 5, blockIds: ids(200, 2) }], [3, 2]),
  matches("several rows and groups", [
    { group: 1, row: 0, firstIndex: 3, blockIds: ids(30, 9) },
    { group: 0, row: 6, firstIndex: 0, blockIds: ids(40, 3) },
    { group: 1, row: 6, firstIndex: 20, blockIds: ids(20, 400) },
    { group: 0, row: 1, firstIndex: maxBlocksPerRow - 1, blockIds: [0] },
  ]),
];
