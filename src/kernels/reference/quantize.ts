import { roundUp } from "../../util/math";
import type { QuantType } from "../modules";
import { fromF16Bits, toF16Bits } from "./float-bits";

const BLOCK = 32;

interface QuantBlock {
  /** f16 bits. */
  readonly scale: number;
  /** One an element; zeros past the row's end. */
  readonly quants: readonly number[];
}

/** One block of up to 32 f32 values; the rule is that of quantize_rows.wgsl. */
export function quantizeBlock(type: QuantType, values: ArrayLike<number>): QuantBlock {
  const all = Array.from({ length: BLOCK }, (_, i) => values[i] ?? 0);
  const largest = all.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
  const allFinite = all.every(Number.isFinite);
  const exact = type === "q8_0" ? Math.abs(largest) / 127 : largest / -8;
  const rounded = toF16Bits(exact);
  // Past the largest f16 lies infinity.
  const scale = allFinite ? ((rounded & 0x7fff) === 0x7c00 ? rounded - 1 : rounded) : 0x7e00;
  const divisor = fromF16Bits(scale);
  const [min, max] = type === "q8_0" ? [-127, 127] : [-8, 7];
  const quants = all.map((value) => {
    if (!allFinite || divisor === 0) return 0;
    const ratio = value / divisor;
    const nearest = Math.floor(Math.abs(ratio) + 0.5);
    return Math.min(max, Math.max(min, ratio < 0 ? 0 - nearest : nearest));
  });
  return { scale, quants };
}

/** Bytes of a quantized row: its quants, then an f16 scale a block, each part padded to 16 bytes. */
export function quantRowBytes(type: QuantType, width: number): number {
  const numBlocks = Math.ceil(width / BLOCK);
  return quantBytes(type, numBlocks) + roundUp(numBlocks * 2, 16);
}

const quantBytes = (type: QuantType, numBlocks: number) => numBlocks * (type === "q8_0" ? 32 : 16);

/** A row as it lies on the GPU, up to its last scale and, where their number is odd, a zero for one more. */
export function quantizeRow(type: QuantType, values: Float32Array): Uint8Array<ArrayBuffer> {
  const numBlocks = Math.ceil(values.length / BLOCK);
  const firstScale = quantBytes(type, numBlocks);
  const bytes = new Uint8Array(firstScale + roundUp(numBlocks * 2, 4));
  const view = new DataView(bytes.buffer);
  for (let block = 0; block * BLOCK < values.length; block++) {
    const { scale, quants } = quantizeBlock(type, values.subarray(block * BLOCK, (block + 1) * BLOCK));
    view.setUint16(firstScale + 2 * block, scale, true);
    if (type === "q8_0") bytes.set(quants, block * 32);
    else for (let i = 0; i < 16; i++) bytes[block * 16 + i] = (quants[i] + 8) | ((quants[i + 16] + 8) << 4);
  }
  return bytes;
}

/** What the rows of a matrix [rows, width] are worth once quantized; exact in f32. */
export function roundToQuants(type: QuantType, values: Float32Array, width: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += width) {
    for (let first = start; first < start + width; first += BLOCK) {
      const block = values.subarray(first, Math.min(first + BLOCK, start + width));
      const { scale, quants } = quantizeBlock(type, block);
      out.set(
        block.map((_, i) => quants[i] * fromF16Bits(scale)),
        first,
      );
    }
  }
  return out;
}
