import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { randomUniform } from "./random";
import { sampleSupport, sampleToken } from "./sample";
import { NEUTRAL_SAMPLING, type SamplingParams } from "./sampling-params";

const NEUTRAL: SamplingParams = { ...NEUTRAL_SAMPLING, seed: [1, 0] };

function support(logits: readonly number[], params: Partial<SamplingParams>): readonly number[] {
  return sampleSupport(Float32Array.from(logits), { ...NEUTRAL, ...params }, 0).ids;
}

/** Logits whose probabilities are as given. */
function logitsOf(probabilities: readonly number[]): number[] {
  return probabilities.map(Math.log);
}

describe("the kept ids", () => {
  test("greedy takes the highest logit, the lowest id among equals", () => {
    expect(support([1, 5, 5, 2], { temperature: 0 })).toEqual([1]);
    expect(sampleToken(Float32Array.of(-3, -1, -1), { ...NEUTRAL, temperature: 0 }, 9)).toBe(1);
    expect(support([-0, 0], { temperature: 0 })).toEqual([0]);
  });

  test("top-k cuts ties by id", () => {
    expect(support([1, 2, 2, 2], { topK: 2 })).toEqual([1, 2]);
    expect(support([2, 1, 2, 3], { topK: 2 })).toEqual([0, 3]);
    expect(support([2, 1], { topK: 9 })).toEqual([0, 1]);
  });

  test("top-p keeps the shortest prefix that reaches it", () => {
    const logits = logitsOf([0.125, 0.5, 0.25, 0.125]);
    expect(support(logits, { topP: 0.7 })).toEqual([1, 2]);
    expect(support(logits, { topP: 0.8 })).toEqual([0, 1, 2]);
    expect(support(logits, { topP: 0.9 })).toEqual([0, 1, 2, 3]);
    expect(support(logits, { topP: 0 })).toEqual([1]);
  });

  test("top-p is of the mass that top-k kept", () => {
    const logits = logitsOf([0.4, 0.3, 0.2, 0.1]);
    expect(support(logits, { topP: 0.5 })).toEqual([0, 1]);
    expect(support(logits, { topP: 0.5, topK: 2 })).toEqual([0]);
  });

  test("top-p is exact over a flat distribution of 2,048 ids", () => {
    const flat = new Array<number>(2048).fill(-7.25);
    expect(support(flat, { topP: 0.5 })).toEqual(Array.from({ length: 1024 }, (_, id) => id));
    expect(support(flat, { topP: 0.5 + 1e-9 })).toHaveLength(1025);
    expect(support(flat, { topP: 1 / 2048 })).toEqual([0]);
    expect(support(flat, { topP: 0.9 })).toHaveLength(1844);
  });

  test("min-p compares with the most likely id, after temperature", () => {
    expect(support([0, -1, -2], { minP: 0.2 })).toEqual([0, 1]);
    expect(support([0, -1, -2], { minP: 0.2, temperature: 2 })).toEqual([0, 1, 2]);
    expect(support([0, 0, -1], { minP: 1 })).toEqual([0, 1]);
  });

  test("masked ids are never likely, extremes stay finite", () => {
    const logits = Float32Array.of(Number.NEGATIVE_INFINITY, 3e38, -3e38, Number.NEGATIVE_INFINITY);
    expect(sampleSupport(logits, NEUTRAL, 0).probabilities).toEqual([0, 1, 0, 0]);
    for (let position = 0; position < 100; position++) expect(sampleToken(logits, NEUTRAL, position)).toBe(1);
  });

  test("what is not finite is an error that names position and id", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const temperature of [0, 1]) {
        expect(() => sampleToken(Float32Array.of(1, 2, bad), { ...NEUTRAL, temperature }, 12)).toThrow(
          expect.objectContaining({ code: "numerical", data: { position: 12, tokenId: 2 } }),
        );
      }
    }
    const allMasked = new Float32Array(3).fill(Number.NEGATIVE_INFINITY);
    expect(() => sampleToken(allMasked, NEUTRAL, 4)).toThrow(expect.objectContaining({ code: "numerical" }));
  });

  test("hold the definition over random logits with many ties", () => {
    const arbitraryLogits = fc.array(fc.integer({ min: -6, max: 6 }), { minLength: 1, maxLength: 40 });
    const arbitraryParams = fc.record({
      temperature: fc.constantFrom(0.3, 1, 2.5),
      topK: fc.nat(45),
      topP: fc.double({ min: 0, max: 1, noNaN: true }),
      minP: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(fc.property(arbitraryLogits, arbitraryParams, checkDefinition), { numRuns: 500 });
  });
});

/** By ranks and sums over all pairs, with no sort and no early exit. */
function checkDefinition(
  logits: number[],
  params: Pick<SamplingParams, "temperature" | "topK" | "topP" | "minP">,
): void {
  const rounding = 1e-9;
  const kept = new Set(support(logits, params));
  const weights = logits.map((logit) => Math.exp(logit / params.temperature));
  const ranksBefore = (a: number, b: number) => logits[a] > logits[b] || (logits[a] === logits[b] && a < b);
  const ids = logits.map((_, id) => id);
  const idsBefore = ids.map((id) => ids.filter((other) => ranksBefore(other, id)));
  const mass = (some: readonly number[]) => some.reduce((sum, id) => sum + weights[id], 0);

  const inTopK = ids.filter((id) => params.topK === 0 || idsBefore[id].length < params.topK);
  const target = params.topP * mass(inTopK);
  const greatest = Math.max(...weights);
  for (const id of ids) {
    const isFirst = idsBefore[id].length === 0;
    const canPass = (slack: number) =>
      inTopK.includes(id) &&
      (isFirst || params.topP === 1 || mass(idsBefore[id]) < target * (1 + slack)) &&
      (isFirst || weights[id] >= params.minP * greatest * (1 - slack));
    if (kept.has(id)) expect(canPass(rounding)).toBe(true);
    else expect(canPass(-rounding)).toBe(false);
  }
}

describe("the draw", () => {
  test("repeats with seed and position, changes with either", () => {
    const logits = new Float32Array(1000);
    const ids = (seed: [number, number]) =>
      Array.from({ length: 8 }, (_, p) => sampleToken(logits, { ...NEUTRAL, seed }, p));
    expect(ids([5, 6])).toEqual(ids([5, 6]));
    expect(ids([5, 6])).not.toEqual(ids([6, 5]));
    expect(new Set(ids([5, 6])).size).toBeGreaterThan(4);
  });

  test("at the edges of u: mass must exceed u's share, so an id without mass is never drawn", () => {
    const seed = [0, 0] as const;
    expect(randomUniform(seed, 901318)).toBe(0);
    expect(sampleToken(Float32Array.of(Number.NEGATIVE_INFINITY, 1, 1), { ...NEUTRAL, seed }, 901318)).toBe(1);
    expect(randomUniform(seed, 16358025)).toBe(0.5);
    expect(sampleToken(Float32Array.of(1, 1), { ...NEUTRAL, seed }, 16358025)).toBe(1);
  });

  test.each<[string, Partial<SamplingParams>, number, number]>([
    // ids kept, and the 0.999 quantile of chi-squared at one degree of freedom fewer
    ["all ids", {}, 10, 27.88],
    ["hot", { temperature: 2 }, 10, 27.88],
    ["top-k 5", { topK: 5 }, 5, 18.47],
    ["top-p 0.8", { topP: 0.8 }, 4, 16.27],
    ["min-p 0.2", { minP: 0.2 }, 4, 16.27],
  ])("follows the probabilities: %s", (_name, overrides, numKept, limit) => {
    const logits = Float32Array.of(0.1, -1.2, 1.5, 0.9, -0.4, 2.2, 0, -2, 0.9, -0.3);
    const params = { ...NEUTRAL, ...overrides, seed: [1234, 99] as const };
    const { ids, probabilities } = sampleSupport(logits, params, 0);
    expect(ids).toHaveLength(numKept);
    const numDraws = 20000;
    const counts = new Map<number, number>();
    for (let position = 0; position < numDraws; position++) {
      const id = sampleToken(logits, params, position);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual(ids);
    const chiSquared = ids.reduce((sum, id, i) => {
      const expected = numDraws * probabilities[i];
      return sum + (counts.get(id)! - expected) ** 2 / expected;
    }, 0);
    expect(chiSquared).toBeLessThan(limit);
  });
});
