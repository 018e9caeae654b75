import { describe, expect, it } from "vitest";
import { fromBf16Bits, fromF16Bits, roundToBf16, roundToF16, toBf16Bits, toF16Bits } from "./float-bits";

const formats = [
  { name: "f16", encode: toF16Bits, decode: fromF16Bits, infinityBits: 0x7c00, nanBits: 0x7e00 },
  { name: "bf16", encode: toBf16Bits, decode: fromBf16Bits, infinityBits: 0x7f80, nanBits: 0x7fc0 },
];

describe.each(formats)("$name", ({ encode, decode, infinityBits, nanBits }) => {
  it("round-trips all 65,536 patterns, NaNs to the canonical one", () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 0x10000; bits++) {
      const isNan = (bits & 0x7fff) > infinityBits;
      const value = decode(bits);
      if (Number.isNaN(value) !== isNan || encode(value) !== (isNan ? nanBits : bits)) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  it("rounds between every two neighbours to the nearer, halfway to the even one", () => {
    const wrong: number[] = [];
    for (let bits = 0; bits + 1 < infinityBits; bits++) {
      const [low, high] = [decode(bits), decode(bits + 1)];
      const quarter = (high - low) / 4;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const rounded = [low + quarter, low + 2 * quarter, low + 3 * quarter].map(encode);
      if (rounded[0] !== bits || rounded[1] !== even || rounded[2] !== bits + 1) wrong.push(bits);
      if (encode(-low - 2 * quarter) !== even + 0x8000) wrong.push(bits + 0x8000);
    }
    expect(wrong).toEqual([]);
  });

  it("overflows to infinity from half a step above the largest value", () => {
    const largest = decode(infinityBits - 1);
    const halfStep = (largest - decode(infinityBits - 2)) / 2;
    expect(encode(largest + 0.999 * halfStep)).toBe(infinityBits - 1);
    expect(encode(largest + halfStep)).toBe(infinityBits);
    expect(encode(-largest - halfStep)).toBe(infinityBits + 0x8000);
    expect(encode(Number.MAX_VALUE)).toBe(infinityBits);
  });

  it("underflows to a zero that keeps its sign", () => {
    const smallest = decode(1);
    expect(encode(smallest / 2)).toBe(0);
    expect(encode(smallest * 0.501)).toBe(1);
    expect(encode(-smallest / 2)).toBe(0x8000);
    expect(encode(Number.MIN_VALUE)).toBe(0);
  });
});

it("knows values of f16", () => {
  expect([1, -2, 65504, 65519.99, 65520, 2 ** -14, 2 ** -24, 0.1].map(toF16Bits)).toEqual([
    0x3c00, 0xc000, 0x7bff, 0x7bff, 0x7c00, 0x0400, 0x0001, 0x2e66,
  ]);
});

it("decodes bf16 as the upper half of f32", () => {
  const words = Uint32Array.from({ length: 0x10000 }, (_, bits) => bits << 16);
  const expected = new Float32Array(words.buffer);
  const wrong = expected.findIndex((value, bits) => !Object.is(value, fromBf16Bits(bits)));
  expect(wrong).toBe(-1);
});

it("rounds arrays", () => {
  expect(roundToF16([1 + 2 ** -11, 1 + 3 * 2 ** -11, 1e6])).toEqual(new Float32Array([1, 1 + 2 ** -9, Infinity]));
  expect(roundToBf16([1 + 2 ** -8, 1 + 3 * 2 ** -8, 1e6])).toEqual(new Float32Array([1, 1 + 2 ** -6, 999424]));
});
