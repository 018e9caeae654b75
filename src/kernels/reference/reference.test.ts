import { describe, expect, it } from "vitest";
import { geluTanh, silu } from "./activation";
import { attention, softmax } from "./attention";
import { maxRelativeError } from "./compare";
import { linear } from "./linear";
import { rmsNorm } from "./norm";
import { quantizeBlock } from "./quantize";
import { applyRope, ropeInverseFrequencies } from "./rope";

function expectClose(actual: ArrayLike<number>, expected: readonly number[]) {
  expect(maxRelativeError(actual, expected, expected.length)).toBeLessThan(1e-14);
}

it("rmsNorm divides by the root mean square, in both weight conventions", () => {
  // Mean square 12, eps 4: divides by 4.
  expect([...rmsNorm([2, 4, -4, 0, 6, 0], [1, 2, 3, 4, 5, 6], 4)]).toEqual([0.5, 2, -3, 0, 7.5, 0]);
  expect([...rmsNorm([2, 4, -4, 0, 6, 0], [0, 1, 2, 3, 4, 5], 4, 1)]).toEqual([0.5, 2, -3, 0, 7.5, 0]);
});

it("linear multiplies row-major weights", () => {
  expect([...linear([1, -2, 3], [1, 2, 3, 4, 5, 6], 2, 3)]).toEqual([6, 12]);
});

it("silu and geluTanh have their known values and limits", () => {
  expect([silu(0), silu(1000), silu(-1000)]).toEqual([0, 1000, -0]);
  expectClose([silu(1)], [0.7310585786300049]);
  expect([geluTanh(0), geluTanh(1000), geluTanh(-1000)]).toEqual([0, 1000, -0]);
  expectClose([geluTanh(1)], [0.8411919906082768]);
});

describe("rope", () => {
  const theta = 10000;

  it("has frequencies theta^(-2i/d), divided by a linear factor", () => {
    expectClose(ropeInverseFrequencies({ theta, scaling: { kind: "none" } }, 8), [1, 0.1, 0.01, 0.001]);
    const linearScaling = { kind: "linear", factor: 8 } as const;
    expectClose(ropeInverseFrequencies({ theta, scaling: linearScaling }, 8), [0.125, 0.0125, 0.00125, 0.000125]);
  });

  it("scales llama3 by wavelength: short kept, long divided, between blended", () => {
    const scaling = {
      kind: "llama3",
      factor: 32,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPosition: 2048,
    } as const;
    const frequencies = ropeInverseFrequencies({ theta, scaling }, 8);
    // Wavelengths 6.3 and 62.8 are under 2048 / 4, 6283 is over 2048 / 1; 628 lies between, at 3.26 turns.
    const kept = ((2048 * 0.01) / (2 * Math.PI) - 1) / 3;
    expectClose(frequencies, [1, 0.1, kept * 0.01 + ((1 - kept) * 0.01) / 32, 0.001 / 32]);
  });

  it("turns element i with element i + d/2", () => {
    const frequencies = [Math.PI / 2, Math.PI];
    expectClose(applyRope([1, 2, 3, 4], 1, frequencies), [-3, -2, 1, -4]);
    expect([...applyRope([1, 2, 3, 4], 0, frequencies)]).toEqual([1, 2, 3, 4]);
  });

  it("keeps q·k a function of the distance", () => {
    const frequencies = ropeInverseFrequencies({ theta, scaling: { kind: "none" } }, 4);
    const dot = (queryPosition: number, keyPosition: number) => {
      const key = applyRope([4, 3, 2, -1], keyPosition, frequencies);
      return applyRope([1, -2, 3, 5], queryPosition, frequencies).reduce((sum, x, i) => sum + x * key[i], 0);
    };
    expectClose([dot(105, 100), dot(5, 0)], [dot(25, 20), dot(25, 20)]);
    expect(Math.abs(dot(6, 0) - dot(5, 0))).toBeGreaterThan(0.1);
  });
});

describe("attention", () => {
  const values = [[1], [10], [100], [1000]];
  const row = { k: [[0], [0], [0], [0]], v: values, numHeads: 1, numKvHeads: 1, headDim: 1, scale: 1, q: [1] };

  it("averages the visible values: up to the position, within the window", () => {
    expectClose(attention({ ...row, position: 2, window: null }), [37]);
    expectClose(attention({ ...row, position: 0, window: null }), [1]);
    expectClose(attention({ ...row, position: 3, window: 2 }), [550]);
    expectClose(attention({ ...row, position: 2, window: 3 }), [37]);
    expectClose(attention({ ...row, position: 3, window: 1 }), [1000]);
  });

  it("never reads keys outside the window", () => {
    const holes = [[NaN], [NaN], [0], [0], [NaN]];
    expectClose(attention({ ...row, k: holes, v: [[NaN], [NaN], ...values], position: 3, window: 2 }), [5.5]);
  });

  it("scales before softmax", () => {
    // Scores 0 and ln 3: weights 1/4 and 3/4.
    const k = [[0], [2]];
    expectClose(attention({ ...row, k, q: [Math.log(3)], scale: 0.5, position: 1, window: null }), [7.75]);
  });

  it("shares a kv head over consecutive heads", () => {
    const shared = attention({
      q: new Array(8).fill(1),
      k: [[0, 0, 0, 0]],
      v: [[1, 2, 3, 4]],
      position: 0,
      window: null,
      numHeads: 4,
      numKvHeads: 2,
      headDim: 2,
      scale: 1,
    });
    expect([...shared]).toEqual([1, 2, 1, 2, 3, 4, 3, 4]);
  });

  it("softmax holds at magnitudes where exp overflows", () => {
    expect([...softmax([1e6, 1e6, -1e6])]).toEqual([0.5, 0.5, 0]);
  });
});

describe("maxRelativeError", () => {
  it("is the worst row's largest error over its largest magnitude", () => {
    expect(maxRelativeError([1, 2, 0, 4.5], [1, 2, 0, 4], 2)).toBe(0.125);
    expect(maxRelativeError([1.5, 4, 100, 101], [1, 4, 100, 100], 2)).toBe(0.125);
    expect(maxRelativeError([0, 0], [0, 0], 2)).toBe(0);
  });

  it("is infinite for NaN, infinities and a row that should be zeros", () => {
    expect(maxRelativeError([NaN, 1], [0, 1], 2)).toBe(Infinity);
    expect(maxRelativeError([Infinity, 1], [Infinity, 1], 2)).toBe(Infinity);
    expect(maxRelativeError([0, 1e-9], [0, 0], 2)).toBe(Infinity);
  });

  it("refuses lengths that do not fit", () => {
    expect(() => maxRelativeError([1], [1, 2], 1)).toThrow("1 values compared with 2");
    expect(() => maxRelativeError([1, 2, 3], [1, 2, 3], 2)).toThrow("3 values do not make rows of 2");
  });
});

describe("quantizeBlock", () => {
  const ONE = 0x3c00;
  const quantized = (type: "q8_0" | "q4_0", values: readonly number[]) => {
    const { scale, quants } = quantizeBlock(type, values);
    return [scale, quants.slice(0, values.length)];
  };

  it("q8_0: scales the largest magnitude to 127; halves go away from zero", () => {
    expect(quantized("q8_0", [-127, 0.5, -0.5, 1.49, 126.5])).toEqual([ONE, [-127, 1, -1, 1, 127]]);
    expect(quantized("q8_0", [0, 2e-7])).toEqual([0, [0, 0]]);
  });

  it("q4_0: scales the first value of largest magnitude to -8", () => {
    expect(quantized("q4_0", [-8, 8, 0.5, -0.5, 6.6])).toEqual([ONE, [-8, 7, 1, -1, 7]]);
    expect(quantized("q4_0", [8, -8, 0.5])).toEqual([ONE + 0x8000, [-8, 7, -1]]);
  });

  it("clamps a scale to the largest f16, and marks what is not finite with NaN", () => {
    expect(quantized("q8_0", [1e30, -65504])).toEqual([0x7bff, [127, -1]]);
    expect(quantized("q4_0", [1e30, -65504])).toEqual([0xfbff, [-8, 1]]);
    expect(quantized("q8_0", [1, Number.NaN])).toEqual([0x7e00, [0, 0]]);
  });
});
