import type { FloatType, QuantType, WeightType } from "../kernels/modules";
import { roundToBf16, roundToF16, toBf16Bits, toF16Bits } from "../kernels/reference/float-bits";
import { quantizeRow, quantRowBytes, roundToQuants } from "../kernels/reference/quantize";
import { roundUp } from "../util/math";

/** Rows of f32 as the kernels keep them: padded to units of eight elements, padding and `capacity - numRows` spare rows NaN. */
export function padRows(values: ArrayLike<number>, width: number, capacity: number): Float32Array<ArrayBuffer> {
  const stride = roundUp(width, 8);
  const padded = new Float32Array(capacity * stride).fill(Number.NaN);
  for (let i = 0; i < values.length; i++) padded[Math.floor(i / width) * stride + (i % width)] = values[i];
  return padded;
}

/** The first `numRows` rows of what `padRows` makes, without their padding. */
export function unpadRows(padded: Float32Array, width: number, numRows: number): Float32Array<ArrayBuffer> {
  const stride = roundUp(width, 8);
  return Float32Array.from({ length: numRows * width }, (_, i) => padded[Math.floor(i / width) * stride + (i % width)]);
}

/** Each value of a matrix [rows, width] rounded to a weight type, kept as f32. */
export function roundWeights(
  type: WeightType,
  values: Float32Array<ArrayBuffer>,
  width: number,
): Float32Array<ArrayBuffer> {
  if (type === "q8_0" || type === "q4_0") return roundToQuants(type, values, width);
  return { f32: (all: Float32Array<ArrayBuffer>) => all, f16: roundToF16, bf16: roundToBf16 }[type](values);
}

/**
 * A matrix [rows, width] as a Linear keeps it. What `roundWeights` gave keeps its values, if quantized then where no scale is
 * subnormal.
 */
export function packWeights(type: WeightType, values: Float32Array, width: number): Uint32Array<ArrayBuffer> {
  return type === "q8_0" || type === "q4_0" ? packQuants(type, values, width) : packFloats(type, values, width, 8);
}

/** Past each row's scales is NaN. */
function packQuants(type: QuantType, values: Float32Array, width: number): Uint32Array<ArrayBuffer> {
  const total = quantRowBytes(type, width);
  const numRows = values.length / width;
  const bytes = new Uint8Array(numRows * total).fill(0x7f);
  for (let row = 0; row < numRows; row++) {
    bytes.set(quantizeRow(type, values.subarray(row * width, (row + 1) * width)), row * total);
  }
  return new Uint32Array(bytes.buffer);
}

/** Rows padded with zeros to `unit` elements. */
export function packFloats(
  type: FloatType,
  values: Float32Array,
  width: number,
  unit: number,
): Uint32Array<ArrayBuffer> {
  const stride = roundUp(width, unit);
  const length = (values.length / width) * stride;
  const at = (i: number) => Math.floor(i / width) * stride + (i % width);
  if (type === "f32") {
    const floats = new Float32Array(length);
    values.forEach((value, i) => {
      floats[at(i)] = value;
    });
    return new Uint32Array(floats.buffer);
  }
  const halves = new Uint16Array(length);
  const toBits = type === "f16" ? toF16Bits : toBf16Bits;
  values.forEach((value, i) => {
    halves[at(i)] = toBits(value);
  });
  return new Uint32Array(halves.buffer);
}
