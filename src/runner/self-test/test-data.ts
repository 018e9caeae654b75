import type { Buffers } from "../../gpu/buffers";
import type { WeightType } from "../../kernels/modules";
import { QUANT_BLOCK } from "../../kernels/quant-block";
import { isQuantType, weightRowBytes } from "../../models/weight-layout";
import type { Linear } from "../../models/weights";
import { roundUp } from "../../util/math";

/** Numbers from -1 to 1, the same at every load. */
export class Noise {
  #state = 1;

  next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
    return this.#state / 2 ** 31;
  }

  /** Rows of f32, padded as kernels want them; what the padding holds may be anything. */
  rows(numRows: number, width: number): Rows {
    return new Rows(
      Float32Array.from({ length: numRows * roundUp(width, 8) }, () => this.next()),
      width,
    );
  }
}

/** A matrix of rows that are each padded to units of eight elements. */
export class Rows {
  readonly data: Float32Array<ArrayBuffer>;
  readonly width: number;

  constructor(data: Float32Array<ArrayBuffer>, width: number) {
    this.data = data;
    this.width = width;
  }

  get stride(): number {
    return roundUp(this.width, 8);
  }

  at(row: number): Float32Array {
    return this.data.subarray(row * this.stride, row * this.stride + this.width);
  }
}

/** A Linear and what its weights are. */
export interface TestLinear {
  readonly linear: Linear;
  readonly weights: Rows;
}

export function makeLinear(
  buffers: Buffers,
  noise: Noise,
  { type, weightModules }: Pick<Linear, "type" | "weightModules">,
  width: number,
  numRows: number,
): TestLinear {
  const weights = noise.rows(numRows, width);
  const rowBytes = weightRowBytes(type, width);
  const bytes = new Uint8Array(numRows * rowBytes);
  for (let row = 0; row < numRows; row++) {
    encodeRow(type, weights.at(row), bytes.subarray(row * rowBytes, (row + 1) * rowBytes));
  }
  const buffer = buffers.constant("self_test", new Uint32Array(bytes.buffer));
  const slices = [{ buffer, firstRow: 0, numRows }];
  return { linear: { name: "self_test", width, numRows, type, weightModules, slices }, weights };
}

/** Writes a row as the kernels read it, and into `values` what it then holds. */
function encodeRow(type: WeightType, values: Float32Array, bytes: Uint8Array): void {
  if (isQuantType(type)) encodeQuants(type, values, bytes);
  else if (type === "f32") new Float32Array(bytes.buffer, bytes.byteOffset).set(values);
  else encodeHalves(type, values, new Uint16Array(bytes.buffer, bytes.byteOffset));
}

/** Of 16-bit floats values whose bits are easily made: the sign of a number, and a size from 0.5 to 1. */
function encodeHalves(type: "f16" | "bf16", values: Float32Array, halves: Uint16Array): void {
  const [base, fractionBits] = type === "f16" ? [0x3800, 10] : [0x3f00, 7];
  values.forEach((value, i) => {
    const fraction = Math.trunc(Math.abs(value) * 2 ** fractionBits);
    halves[i] = (value < 0 ? 0x8000 : 0) | base | fraction;
    values[i] = (value < 0 ? -0.5 : 0.5) * (1 + fraction / 2 ** fractionBits);
  });
}

/** Of blocks every second one has twice the scale, 1/64 or 1/4. */
function encodeQuants(type: "q8_0" | "q4_0", values: Float32Array, bytes: Uint8Array): void {
  const [greatest, blockBytes, scaleBits] = type === "q8_0" ? [127, 32, 0x20] : [7, 16, 0x30];
  const numBlocks = Math.ceil(values.length / QUANT_BLOCK);
  // A nibble of 8 is zero.
  if (type === "q4_0") bytes.fill(0x88, 0, numBlocks * blockBytes);
  for (let block = 0; block < numBlocks; block++) {
    bytes[numBlocks * blockBytes + 2 * block + 1] = scaleBits + 4 * (block % 2);
  }
  values.forEach((value, i) => {
    const [block, element] = [Math.floor(i / QUANT_BLOCK), i % QUANT_BLOCK];
    const quant = Math.trunc(greatest * value);
    bytes[block * blockBytes + (element % blockBytes)] += element < blockBytes ? quant : quant * 16;
    values[i] = (quant / (greatest + 1)) * (1 + (block % 2));
  });
}
