import type { KvType } from "../modules";
import { fromF16Bits, toF16Bits } from "./float-bits";

/** A vector's int8 form, see kv/offload-encoding.ts. */
export interface Int8Vector {
  /** An f32; NaN for a vector that does not count as finite. */
  readonly scale: number;
  readonly quants: readonly number[];
}

/** 0, NaN, or the largest magnitude of values that the KV type holds. */
export function int8Scale(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    if (!(Math.abs(values[i]) < 2 ** 120)) return Number.NaN;
    largest = Math.max(largest, Math.abs(values[i]));
  }
  return largest < 2 ** -100 ? 0 : largest;
}

export function encodeInt8(values: ArrayLike<number>): Int8Vector {
  const scale = int8Scale(values);
  return { scale, quants: Array.from(values, (value) => (scale > 0 ? Math.floor((127 * value) / scale + 0.5) : 0)) };
}

/** The rounding of a KV type. */
export const ROUND_KV: Readonly<Record<KvType, (value: number) => number>> = {
  f16: (value) => fromF16Bits(toF16Bits(value)),
  f32: Math.fround,
};

/** `round`: to the KV type. */
export function decodeInt8({ scale, quants }: Int8Vector, round: (value: number) => number): number[] {
  return quants.map((quant) => round(Math.abs(quant) === 127 ? Math.sign(quant) * scale : (quant * scale) / 127));
}

/** The elements of pages, or of planes. */
export function kvValues(bytes: Uint8Array<ArrayBuffer>, kvType: KvType): number[] {
  const { buffer, byteOffset, byteLength } = bytes;
  if (kvType === "f32") return Array.from(new Float32Array(buffer, byteOffset, byteLength / 4));
  return Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), fromF16Bits);
}

/** Values that the KV type holds, as bytes. */
export function kvBytes(values: readonly number[], kvType: KvType): Uint8Array<ArrayBuffer> {
  if (kvType === "f32") return new Uint8Array(Float32Array.from(values).buffer);
  return new Uint8Array(Uint16Array.from(values, toF16Bits).buffer);
}
