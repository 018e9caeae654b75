import { assertSame } from "../testing/kernel-asserts";
import { type KernelCase, NAN_WORD } from "../testing/kernel-case";
import { packFloats } from "../testing/matrices";
import { Random } from "../testing/random";
import type { FloatType, QuantType } from "./modules";
import {
  packQuantizeParams,
  type QuantizeParams,
  quantizeRows,
  quantizeRowsGrid,
  quantizeRowsVariant,
} from "./quantize-rows";
import { fromBf16Bits, fromF16Bits } from "./reference/float-bits";
import { quantizeRow, quantRowBytes } from "./reference/quantize";

interface Piece extends Omit<QuantizeParams, "type"> {
  /** The source, [rows, width], in values that `sourceType` holds. */
  readonly values: Float32Array<ArrayBuffer>;
}

/** The source as it lies in a checkpoint: rows without padding. */
const sourceWords = ({ values, sourceType }: Piece) => packFloats(sourceType, values, values.length, 2);

/** All pieces into one destination of `numRows` rows, in which all else must stay as it was; in both types. */
function matches(name: string, numRows: number, makePieces: (type: QuantType) => readonly Piece[]): KernelCase {
  return {
    name: `quantize_rows: ${name}`,
    ignoresF16: true,
    ignoresSubgroups: true,
    async run(ctx) {
      const pipeline = await ctx.pipelines.get(quantizeRows, quantizeRowsVariant);
      for (const type of ["q8_0", "q4_0"] as const) {
        const pieces = makePieces(type);
        const rowBytes = quantRowBytes(type, pieces[0].width);
        const numWords = (numRows * rowBytes) / 4;
        const weights = ctx.empty("weights", numWords * 4);
        const expected = new Uint32Array(numWords).fill(NAN_WORD);
        for (const piece of pieces) {
          const params = { ...piece, type };
          const bindGroup = pipeline.bind("quantize", {
            params: ctx.buffers.uniform("params", packQuantizeParams(params)),
            source: ctx.upload("source", sourceWords(piece)),
            weights: weights,
          });
          ctx.dispatch(pipeline, bindGroup, quantizeRowsGrid(params));
          quantizePiece(new Uint8Array(expected.buffer), rowBytes, type, piece);
        }
        assertSame(`${type} weights`, await ctx.readU32(weights, numWords), expected);
      }
    },
  };
}

function quantizePiece(target: Uint8Array, rowBytes: number, type: QuantType, piece: Piece): void {
  const { values, width, sourceRow, numRows, firstRow, rowStep } = piece;
  for (let row = 0; row < numRows; row++) {
    const start = (sourceRow + row) * width;
    target.set(quantizeRow(type, values.subarray(start, start + width)), (firstRow + row * rowStep) * rowBytes);
  }
}

/** Rows of `width` elements: all of the values' after the first `sourceRow`. */
function piece(
  sourceType: FloatType,
  width: number,
  values: Float32Array<ArrayBuffer>,
  target: Partial<QuantizeParams> = {},
): Piece {
  const sourceRow = target.sourceRow ?? 0;
  const numRows = values.length / width - sourceRow;
  return { values, sourceRow, numRows, width, sourceType, firstRow: 0, rowStep: 1, ...target };
}

const DECODE = { f16: fromF16Bits, bf16: fromBf16Bits };

/** Random bits of a 16-bit type, few of them not finite; in every other 32 of f16 none is larger than a subnormal. */
function randomHalves(type: "f16" | "bf16", length: number, seed: number): Float32Array<ArrayBuffer> {
  const random = new Random(seed);
  return Float32Array.from({ length }, (_, i) => {
    const isSmall = type === "f16" && i % 64 < 32;
    const value = DECODE[type](random.int(0, 0x10000) & (isSmall ? 0x83ff : 0xffff));
    return Number.isFinite(value) || random.int(0, 64) === 0 ? value : 0;
  });
}

/** Blocks of 32 with one scale, which the first value sets, and quotients on, and next to, every half. */
function halves(type: QuantType, scale: number): Float32Array<ArrayBuffer> {
  const most = type === "q8_0" ? 127 : 8;
  const step = 2 ** -23;
  const values: number[] = [];
  for (let quant = 0; quant < most; quant++) {
    const half = (quant + 0.5) * scale;
    for (const value of [half, half * (1 + step), half * (1 - step)]) values.push(value, -value);
  }
  const blocks: number[] = [];
  for (let i = 0; i < values.length; i += 31) {
    const block = [-most * scale, ...values.slice(i, i + 31)];
    blocks.push(...block, ...new Array(32 - block.length).fill(0));
  }
  return Float32Array.from(blocks);
}

/** A block for each magnitude of its largest value, from subnormals of f32 to beyond what a scale can hold. */
function magnitudes(): Float32Array<ArrayBuffer> {
  const random = new Random(11);
  const blocks: number[] = [];
  for (let exponent = -149; exponent < 128; exponent += 1) {
    for (let i = 0; i < 32; i++) blocks.push(random.normalArray(1)[0] * 0.4 * 2 ** exponent);
  }
  return Float32Array.from(blocks);
}

const MAX_F32 = 3.4028234663852886e38;

/** A row of blocks that hold one or two special values among zeros, or nothing else. */
function specials(): Float32Array<ArrayBuffer> {
  const first: readonly (readonly number[])[] = [
    [0],
    [-0],
    [1, -1],
    [-1, 1],
    [MAX_F32, 1, -MAX_F32],
    [-MAX_F32, 8.4e6],
    [65504 * 127, 65504 * 63.5],
    [65520 * 127, 1],
    [Number.POSITIVE_INFINITY, 1],
    [1, Number.NEGATIVE_INFINITY],
    [Number.NaN, 1],
    [2 ** -149, -(2 ** -149)],
    [127 * 2 ** -25, 2 ** -25],
    [127 * 2 ** -25 * (1 + 2 ** -23), 2 ** -25],
    [127 * 1.5 * 2 ** -24, 2 ** -24],
    [8 * 2 ** -25, 2 ** -25],
  ];
  return Float32Array.from(first.flatMap((values) => [...values, ...new Array(32 - values.length).fill(0)]));
}

const blocksOf = (values: Float32Array<ArrayBuffer>, sourceType: FloatType = "f32") => [piece(sourceType, 32, values)];

export const quantizeRowsCases: readonly KernelCase[] = [
  ...[1, 31, 32, 33, 65, 300].map((width) =>
    matches(`f32 rows of ${width}`, 9, () => [
      piece("f32", width, new Random(width).normalArray(7 * width), { firstRow: 1 }),
    ]),
  ),
  matches("quotients on a half and beside it, scales of either sign", 100, (type) =>
    [2 ** -7, -(2 ** -7), 1365 * 2 ** -20, -1365 * 2 ** -20].map((scale, i) =>
      piece("f32", 32, halves(type, scale), { firstRow: 25 * i }),
    ),
  ),
  matches("every magnitude", 277, () => blocksOf(magnitudes())),
  matches("zeros, infinities, NaN, huge and tiny values", 16, () => blocksOf(specials())),
  matches("any bits of f16", 128, () => blocksOf(randomHalves("f16", 4096, 1), "f16")),
  matches("any bits of bf16", 128, () => blocksOf(randomHalves("bf16", 4096, 2), "bf16")),
  matches("16-bit rows that begin within a word, from a piece's middle on", 9, () => [
    piece("bf16", 37, randomHalves("bf16", 10 * 37, 3), { sourceRow: 3, firstRow: 1 }),
  ]),
  matches("gate and up in alternating rows", 26, () => [
    piece("f16", 65, randomHalves("f16", 13 * 65, 4), { rowStep: 2 }),
    piece("f16", 65, randomHalves("f16", 15 * 65, 5), { rowStep: 2, firstRow: 1, sourceRow: 2 }),
  ]),
];
