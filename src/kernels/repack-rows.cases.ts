import { assertSame } from "../testing/kernel-asserts";
import { type KernelCase, NAN_WORD } from "../testing/kernel-case";
import { Random } from "../testing/random";
import { roundUp } from "../util/math";
import { packRepackParams, type RepackParams, repackRows, repackRowsGrid, repackRowsVariant } from "./repack-rows";

interface Copy extends RepackParams {
  readonly source: Uint8Array;
}

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const random = new Random(length);
  return Uint8Array.from({ length }, () => random.int(0, 256));
}

/** The reference: rows byte by byte, padding zero. */
function copyRows(target: Uint8Array, { source, ...params }: Copy): void {
  const { sourceRow, numRows, rowBytes, rowWords, firstRow, rowStep } = params;
  for (let row = 0; row < numRows; row++) {
    const start = (sourceRow + row) * rowBytes;
    const at = (firstRow + row * rowStep) * rowWords * 4;
    target.fill(0, at, at + rowWords * 4);
    target.set(source.subarray(start, start + rowBytes), at);
  }
}

/** All copies into one destination of `numRows` rows, in which all else must stay as it was. */
function matches(name: string, numRows: number, copies: readonly Copy[]): KernelCase {
  return {
    name: `repack_rows: ${name}`,
    ignoresF16: true,
    ignoresSubgroups: true,
    async run(ctx) {
      const numWords = numRows * copies[0].rowWords;
      const weights = ctx.empty("weights", numWords * 4);
      const expected = new Uint32Array(numWords).fill(NAN_WORD);
      const pipeline = await ctx.pipelines.get(repackRows, repackRowsVariant);
      for (const copy of copies) {
        const words = new Uint32Array(roundUp(copy.source.length, 4) / 4);
        new Uint8Array(words.buffer).set(copy.source);
        const bindGroup = pipeline.bind("repack", {
          params: ctx.buffers.uniform("params", packRepackParams(copy)),
          source: ctx.upload("source", words),
          weights: weights,
        });
        ctx.dispatch(pipeline, bindGroup, repackRowsGrid(copy));
        copyRows(new Uint8Array(expected.buffer), copy);
      }
      assertSame("weights", await ctx.readU32(weights, numWords), expected);
    },
  };
}

/** Rows of `width` elements, all of the source's after the first `sourceRow`. */
function copy(elementBytes: 2 | 4, width: number, target: Partial<RepackParams> & { readonly numRows: number }): Copy {
  const sourceRow = target.sourceRow ?? 0;
  const rowBytes = width * elementBytes;
  return {
    source: randomBytes((sourceRow + target.numRows) * rowBytes),
    sourceRow,
    rowBytes,
    rowWords: (roundUp(width, 8) * elementBytes) / 4,
    firstRow: 0,
    rowStep: 1,
    ...target,
  };
}

const WIDTHS = [1, 7, 8, 13, 65, 172];

export const repackRowsCases: readonly KernelCase[] = [
  ...WIDTHS.map((width) => matches(`16-bit rows of ${width}`, 19, [copy(2, width, { numRows: 17, firstRow: 1 })])),
  ...WIDTHS.map((width) => matches(`32-bit rows of ${width}`, 19, [copy(4, width, { numRows: 17, firstRow: 1 })])),
  matches("a piece's rows from its middle on", 12, [copy(2, 13, { sourceRow: 3, numRows: 7, firstRow: 4 })]),
  matches("an even number of bytes before an odd row", 3, [copy(2, 7, { sourceRow: 1, numRows: 2, firstRow: 0 })]),
  matches("gate and up in alternating rows", 28, [
    copy(2, 65, { numRows: 13, firstRow: 0, rowStep: 2 }),
    copy(2, 65, { numRows: 13, firstRow: 1, rowStep: 2, sourceRow: 2 }),
  ]),
  matches("parts one after the other", 40, [
    copy(4, 13, { numRows: 32, firstRow: 0 }),
    copy(4, 13, { numRows: 5, firstRow: 32 }),
    copy(4, 13, { numRows: 2, firstRow: 37 }),
  ]),
];
