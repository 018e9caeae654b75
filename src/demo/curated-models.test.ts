import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { CuratedModel } from "./curated-models";
import { parseModel } from "./remote-model";

const MODELS: readonly CuratedModel[] = JSON.parse(
  readFileSync(new URL("../../public/models.json", import.meta.url), "utf8"),
);

test("every entry of the curated list is whole", () => {
  expect(MODELS.length).toBeGreaterThan(0);
  for (const model of MODELS) {
    expect(model, model.id).toEqual({
      id: expect.any(String),
      name: expect.any(String),
      downloadBytes: expect.any(Number),
      licence: expect.any(String),
      context: expect.any(Number),
      quantization: model.quantization,
      isGated: expect.any(Boolean),
    });
    expect(parseModel(model.id, "https://hub.example"), model.id).toBe(model.id);
    expect([null, "q8_0", "q4_0"], model.id).toContain(model.quantization);
  }
  expect(new Set(MODELS.map(({ id }) => id)).size).toBe(MODELS.length);
});
