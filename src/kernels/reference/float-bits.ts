interface FloatFormat {
  readonly numExponentBits: number;
  readonly numMantissaBits: number;
}

const F16: FloatFormat = { numExponentBits: 5, numMantissaBits: 10 };
const BF16: FloatFormat = { numExponentBits: 8, numMantissaBits: 7 };

/** The 16 bits of the nearest f16, ties to even; from 65520 on infinity; every NaN is 0x7e00. */
export function toF16Bits(value: number): number {
  return encode(value, F16);
}

/** The value of 16 f16 bits. */
export function fromF16Bits(bits: number): number {
  return decode(bits, F16);
}

/** The 16 bits of the nearest bf16, ties to even; every NaN is 0x7fc0. */
export function toBf16Bits(value: number): number {
  return encode(value, BF16);
}

/** The value of 16 bf16 bits. */
export function fromBf16Bits(bits: number): number {
  return decode(bits, BF16);
}

/** Each value rounded to f16, kept as f32 (which holds every f16). */
export function roundToF16(values: ArrayLike<number>): Float32Array<ArrayBuffer> {
  return Float32Array.from(values, (value) => fromF16Bits(toF16Bits(value)));
}

/** Each value rounded to bf16, kept as f32 (which holds every bf16). */
export function roundToBf16(values: ArrayLike<number>): Float32Array<ArrayBuffer> {
  return Float32Array.from(values, (value) => fromBf16Bits(toBf16Bits(value)));
}

// Rounds straight from float64: going through f32 would round twice.
function encode(value: number, format: FloatFormat): number {
  const bias = 2 ** (format.numExponentBits - 1) - 1;
  const one = 2 ** format.numMantissaBits;
  const infinity = (2 ** format.numExponentBits - 1) * one;
  if (Number.isNaN(value)) return infinity + one / 2;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 2 ** (bias + 1)) return sign + infinity;
  // Below the smallest normal the step between values stays that of exponent 1 - bias.
  const exponent = Math.max(binaryExponent(magnitude), 1 - bias);
  const mantissa = roundHalfToEven(magnitude * 2 ** (format.numMantissaBits - exponent));
  // The mantissa still holds its leading one where there is one, and a mantissa that rounded up carries into the exponent.
  return sign + (exponent + bias - 1) * one + mantissa;
}

function decode(bits: number, format: FloatFormat): number {
  const bias = 2 ** (format.numExponentBits - 1) - 1;
  const one = 2 ** format.numMantissaBits;
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = Math.floor((bits & 0x7fff) / one);
  const mantissa = (bits & 0x7fff) % one;
  if (exponent === 2 ** format.numExponentBits - 1) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - format.numMantissaBits);
  return sign * (one + mantissa) * 2 ** (exponent - bias - format.numMantissaBits);
}

const doubleView = new DataView(new ArrayBuffer(8));

/** floor(log2(value)) of a positive normal float64, exactly; -1023 for 0 and subnormals. */
function binaryExponent(value: number): number {
  doubleView.setFloat64(0, value);
  return ((doubleView.getUint16(0) >> 4) & 0x7ff) - 1023;
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
