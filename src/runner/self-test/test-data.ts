import type { Buffers } from "../../gpu/buffers";
import type { WeightType } from "../../kernels/modules";
import { weightRowBytes } from "../../models/weight-layout";
import type { Linear } from "../../models/weights";
import { decodeFloats } from "../../util/float-bits";
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
  type: WeightType,
  width: number,
  numRows: number,
): TestLinear {
  const rowBytes = weightRowBytes(type, width);
  const bytes = new Uint8Array(numRows * rowBytes);
  for (let row = 0; row < numRows; row++) bytes.set(encodeRow(type, noise.rows(1, width).at(0)), row * rowBytes);
  const buffer = buffers.constant("self_test", new Uint32Array(bytes.buffer));
  const slices = [{ buffer, firstRow: 0, numRows }];
  return {
    linear: { name: "self_test", width, numRows, type, slices },
    weights: new Rows(decodeFloats(bytes, type), width),
  };
}

/** Of 16-bit floats the kernels see values whose bits are easily made: the sign of a number, and a size from 0.5 to 1. */
function encodeRow(type: WeightType, values: Float32Array): Uint8Array {
  if (type === "f32") return new Uint8Array(values.slice().buffer);
  const [base, mask] = type === "f16" ? [0x3800, 0x83ff] : [0x3f00, 0x807f];
  return new Uint8Array(Uint16Array.from(values, (value) => base | ((value * 0x8000) & mask)).buffer);
}
