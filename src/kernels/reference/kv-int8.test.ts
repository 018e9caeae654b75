import { describe, expect, it } from "vitest";
import { Random } from "../../testing/random";
import { fromF16Bits } from "./float-bits";
import { decodeInt8, encodeInt8, int8Scale, ROUND_KV } from "./kv-int8";

const MAX_F16_BITS = 0x7bff;

/** As a device that packs f16 by truncation rounds what is normal. */
function truncate(value: number): number {
  const nearest = ROUND_KV.f16(value);
  if (Math.abs(nearest) <= Math.abs(value) || Math.abs(value) < 2 ** -14) return nearest;
  const step = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10);
  return Math.sign(value) * Math.floor(Math.abs(value) / step) * step;
}

describe.each([
  ["to the nearest", ROUND_KV.f16],
  ["normal values toward zero", truncate],
])("with f16 rounded %s, a second round trip changes nothing", (_, round) => {
  it("for every scale, subnormals included, and every quant that an element can have", () => {
    const wrong: string[] = [];
    for (let bits = 1; bits <= MAX_F16_BITS; bits++) {
      // Beyond the scales of which an element may come out subnormal, all exponents are alike.
      if (bits > 0x3000 && bits < 0x7800) continue;
      const scale = fromF16Bits(bits);
      // With fewer values below the scale than quants, not every quant has one.
      const values =
        bits < 128
          ? Array.from({ length: bits + 1 }, (_, k) => fromF16Bits(k))
          : Array.from({ length: 128 }, (_, quant) => (quant * scale) / 127);
      const once = encodeInt8([...values, scale]);
      const decoded = decodeInt8(once, round);
      const twice = encodeInt8(decoded);
      if (twice.scale !== scale || once.quants.some((quant, i) => quant !== twice.quants[i])) wrong.push(`${scale}`);
    }
    expect(wrong).toEqual([]);
  });
});

it("a second round trip of f32 changes nothing, whatever the exponent", () => {
  const random = new Random(5);
  for (let exponent = -149; exponent <= 127; exponent++) {
    const values = random.uniformArray(64, -1, 1).map((value) => value * 2 ** exponent);
    const once = encodeInt8(values);
    expect(encodeInt8(decodeInt8(once, ROUND_KV.f32)), `exponent ${exponent}`).toEqual(once);
  }
});

it("every element comes back within scale / 254 and a rounding, the largest as it was", () => {
  const random = new Random(6);
  for (let exponent = -20; exponent <= 15; exponent++) {
    const values = Array.from(random.uniformArray(64, -1, 1), (value) => ROUND_KV.f16(value * 2 ** exponent));
    const decoded = decodeInt8(encodeInt8(values), ROUND_KV.f16);
    const scale = int8Scale(values);
    values.forEach((value, i) => {
      const rounding = Math.max(Math.abs(value) * 2 ** -10, 2 ** -24);
      expect(Math.abs(decoded[i] - value)).toBeLessThanOrEqual(scale / 254 + rounding);
      if (Math.abs(value) === scale) expect(decoded[i]).toBe(value);
    });
  }
});

it("zeros stay zeros, and a vector that is not finite is NaN", () => {
  expect(encodeInt8([0, -0])).toEqual({ scale: 0, quants: [0, 0] });
  expect(encodeInt8([2 ** -101, -(2 ** -101)])).toEqual({ scale: 0, quants: [0, 0] });
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -(2 ** 120)]) {
    expect(decodeInt8(encodeInt8([1, value]), ROUND_KV.f32)).toEqual([Number.NaN, Number.NaN]);
  }
});
