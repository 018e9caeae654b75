import { REPETITION_PENALTY_RANGE } from "../sampling/sampling-params";
import { ConfigReader } from "./config-reader";

/** What `generation_config.json` says about sampling; null where it says nothing. */
export interface GenerationDefaults {
  /** 0 where the file turns sampling off. */
  readonly temperature: number | null;
  readonly topK: number | null;
  readonly topP: number | null;
  readonly minP: number | null;
  readonly repetitionPenalty: number | null;
  /** Fields of the file that would change the text and that Cairn does not support. */
  readonly unsupportedFields: readonly string[];
}

/** Fields that Cairn does not support, with the value that means off. */
const OFF_VALUES: Readonly<Record<string, number>> = {
  encoder_repetition_penalty: 1,
  no_repeat_ngram_size: 0,
  typical_p: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  num_beams: 1,
};

/** Throws `invalid_config` { field, value } for a value out of range. `json` null: the model has no such file. */
export function parseGenerationDefaults(json: unknown | null): GenerationDefaults {
  const config = new ConfigReader(json ?? {}, "generation_config");
  const isGreedy = config.has("do_sample") && !config.boolean("do_sample", false);
  const temperature = config.optionalNumber("temperature", 0, Number.MAX_VALUE);
  const topK = config.optionalNumber("top_k", 0, 2 ** 31 - 1);
  if (topK !== null && !Number.isInteger(topK)) throw config.refusal("top_k", "must be an integer");
  return {
    temperature: isGreedy ? 0 : temperature,
    topK,
    topP: config.optionalNumber("top_p", 0, 1),
    minP: config.optionalNumber("min_p", 0, 1),
    repetitionPenalty: config.optionalNumber("repetition_penalty", ...REPETITION_PENALTY_RANGE),
    unsupportedFields: Object.keys(OFF_VALUES).filter(
      (field) => config.has(field) && config.raw(field) !== OFF_VALUES[field],
    ),
  };
}
