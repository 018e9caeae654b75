/** Values of 16- or 32-bit floats in little-endian `bytes`. */
export function decodeFloats(bytes: Uint8Array, type: "f32" | "f16" | "bf16"): Float32Array<ArrayBuffer> {
  if (type === "f32") return new Float32Array(bytes.slice().buffer);
  const halves = new Uint16Array(bytes.slice().buffer);
  const values = new Float32Array(halves.length);
  const decode = type === "bf16" ? bf16ToF32 : f16ToF32;
  for (let i = 0; i < halves.length; i++) values[i] = decode(halves[i]);
  return values;
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

function bf16ToF32(bits: number): number {
  word[0] = bits << 16;
  return float[0];
}

function f16ToF32(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
