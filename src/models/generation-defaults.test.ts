import { expect, it } from "vitest";
import { CairnError } from "../util/errors";
import { parseGenerationDefaults } from "./generation-defaults";

const NOTHING = {
  temperature: null,
  topK: null,
  topP: null,
  minP: null,
  repetitionPenalty: null,
  unsupportedFields: [],
};

it("is null where the file is missing or says nothing", () => {
  expect(parseGenerationDefaults(null)).toEqual(NOTHING);
  expect(parseGenerationDefaults({ eos_token_id: 2, top_k: null })).toEqual(NOTHING);
});

it("reads what the file says", () => {
  const fields = { do_sample: true, temperature: 0.7, top_k: 40, top_p: 0.95, min_p: 0.1, repetition_penalty: 1.1 };
  expect(parseGenerationDefaults(fields)).toEqual({
    temperature: 0.7,
    topK: 40,
    topP: 0.95,
    minP: 0.1,
    repetitionPenalty: 1.1,
    unsupportedFields: [],
  });
});

it("is greedy where sampling is off", () => {
  expect(parseGenerationDefaults({ do_sample: false, temperature: 0.7 })).toEqual({ ...NOTHING, temperature: 0 });
});

it("names fields that have an effect and no support", () => {
  const fields = parseGenerationDefaults({ no_repeat_ngram_size: 3, num_beams: 1, typical_p: 0.9 }).unsupportedFields;
  expect(fields).toEqual(["no_repeat_ngram_size", "typical_p"]);
});

it.each([
  ["temperature", -1],
  ["top_k", 1.5],
  ["top_p", 2],
  ["min_p", "0.1"],
  ["repetition_penalty", 0],
  ["do_sample", "no"],
])("refuses %s = %j by name", (field, value) => {
  try {
    parseGenerationDefaults({ [field]: value });
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(CairnError);
    expect((thrown as CairnError).data).toEqual({ field: `generation_config.${field}`, value });
    return;
  }
  throw new Error("the value was accepted");
});
