import { describe, expect, it } from "vitest";
import { type GoldenCase, loadGoldenCases, maxLogitError } from "./goldens";
import { ReferenceModel } from "./reference-model";
import { makeTinyGemma, type TinyGemma } from "./tiny-gemma";

const TOKEN_IDS = Array.from({ length: 80 }, (_, i) => (i * 37 + 11) % 256);

/** Logits of the last prompt position, then greedy ids and their top-2 gaps, as many as the case has. */
function runGreedy(model: ReferenceModel, golden: GoldenCase) {
  let logits = model.forward(golden.promptIds).at(-1)!;
  const promptLogits = logits;
  const ids: number[] = [];
  const gaps: number[] = [];
  for (const _ of golden.greedyIds) {
    const [best, second] = logits.toSorted().subarray(-2).reverse();
    ids.push(logits.indexOf(best));
    gaps.push(best - second);
    logits = model.append(ids.at(-1)!);
  }
  return { promptLogits, ids, gaps };
}

const cases = loadGoldenCases();
describe.each([...new Set(cases.map(({ dir }) => dir))])("%s", (dir) => {
  const model = ReferenceModel.load(dir);

  it.each(cases.filter((golden) => golden.dir === dir))("$name", { timeout: 60_000 }, (golden) => {
    const { promptLogits, ids, gaps } = runGreedy(model, golden);
    expect(ids).toEqual(golden.greedyIds);
    // The files keep five decimals or more.
    expect(maxLogitError(promptLogits, golden)).toBeLessThan(1e-5);
    const gapErrors = (golden.stepGaps ?? []).map((gap, step) => Math.abs(gap - gaps[step]));
    expect(Math.max(0, ...gapErrors)).toBeLessThan(1e-5);
  });
});

describe("a tiny Gemma", () => {
  const hot = makeTinyGemma({ seed: 1, residualScale: 1e5 });
  const model = ReferenceModel.fromTensors(hot.config, hot.tensors);

  it("stays finite with a residual stream past 1e5", () => {
    const logits = model.forward(TOKEN_IDS);
    expect(model.maxAbsResidual).toBeGreaterThan(1e5);
    expect(logits.every((row) => row.every(Number.isFinite))).toBe(true);
  });

  it("does not change with the residual's scale, as every block is normalized on its way in", () => {
    const hotter = makeTinyGemma({ seed: 1, residualScale: 2 ** 40 });
    const hottest = makeTinyGemma({ seed: 1, residualScale: 2 ** 41 });
    const [a, b] = [hotter, hottest].map(({ config, tensors }) => ReferenceModel.fromTensors(config, tensors));
    const [expected, actual] = [a, b].map((each) => each.forward(TOKEN_IDS).at(-1)!);
    expect(Math.max(...actual.map((logit, i) => Math.abs(logit - expected[i])))).toBeLessThan(1e-9);
    expect(b.maxAbsResidual / a.maxAbsResidual).toBeCloseTo(2, 9);
  });

  it("depends on every token that its layers see", () => {
    const changed = [TOKEN_IDS[0] ^ 1, ...TOKEN_IDS.slice(1)];
    const [before, after] = [model.forward(TOKEN_IDS), model.forward(changed)];
    // Past the window of 32 only the full layer still sees token 0.
    expect(after[79]).not.toEqual(before[79]);
  });

  it("forgets what left the window when all layers slide", () => {
    const layers = hot.config.layers.slice(0, 1).map((layer) => ({ ...layer, kind: "sliding" as const, window: 8 }));
    const sliding = ReferenceModel.fromTensors({ ...hot.config, layers }, hot.tensors);
    const changed = [TOKEN_IDS[0] ^ 1, ...TOKEN_IDS.slice(1)];
    const [before, after] = [sliding.forward(TOKEN_IDS), sliding.forward(changed)];
    expect(after[7]).not.toEqual(before[7]);
    expect(after[8]).toEqual(before[8]);
  });
});

describe("ReferenceModel", () => {
  const tiny = makeTinyGemma({ seed: 2, residualScale: 1 });
  const model = ReferenceModel.fromTensors(tiny.config, tiny.tensors);

  it("appends where forward stopped, and starts over after reset", () => {
    const all = model.forward([5, 6, 7, 8]);
    model.forward([5, 6]);
    expect(model.numTokens).toBe(2);
    expect(model.append(7)).toEqual(all[2]);
    expect(model.append(8)).toEqual(all[3]);
    model.reset();
    expect([model.numTokens, model.maxAbsResidual]).toEqual([0, 0]);
    expect(model.append(5)).toEqual(all[0]);
  });

  it.each([-1, 256, 1.5, NaN])("refuses token id %s", (tokenId) => {
    expect(() => model.append(tokenId)).toThrow(expect.objectContaining({ code: "invalid_request" }));
  });

  it("names a tensor that is missing or has another shape", () => {
    const name = "model.layers.1.mlp.up_proj.weight";
    expect(() => withTensor(tiny, name, null)).toThrow(
      expect.objectContaining({ code: "tensor_missing", data: { tensor: name } }),
    );
    expect(() => withTensor(tiny, name, [64, 172])).toThrow(
      expect.objectContaining({
        code: "tensor_shape",
        data: { tensor: name, expected: [172, 64], actual: [64, 172] },
      }),
    );
  });
});

function withTensor({ config, tensors }: TinyGemma, name: string, shape: number[] | null): ReferenceModel {
  const changed = new Map(tensors);
  changed.delete(name);
  if (shape) changed.set(name, { shape, data: tensors.get(name)!.data });
  return ReferenceModel.fromTensors(config, changed);
}
