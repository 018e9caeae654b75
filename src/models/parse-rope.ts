import type { RopeConfig, RopeScaling } from "./config";
import type { ConfigReader } from "./config-reader";

const NO_SCALING: RopeScaling = { kind: "none" };

/**
 * Rope of a model, or of Gemma's full-attention layers, from either spelling: `rope_parameters` (one object with theta
 * and scaling) or the older `rope_theta` beside `rope_scaling`.
 */
export function parseRope(config: ConfigReader, defaultTheta: number): RopeConfig {
  const parameters = config.object("rope_parameters");
  if (parameters) return parseRopeParameters(parameters, config.positiveNumber("rope_theta", defaultTheta));
  const theta = config.positiveNumber("rope_theta", defaultTheta);
  const scaling = config.object("rope_scaling");
  return { theta, scaling: scaling ? parseRopeScaling(scaling) : NO_SCALING };
}

/** Ropes of Gemma's two kinds of layers. The older spelling scales the full-attention layers only. */
export function parseRopesByKind(config: ConfigReader): { full: RopeConfig; sliding: RopeConfig } {
  const defaultTheta = 1_000_000;
  const localTheta = config.positiveNumber("rope_local_base_freq", 10_000);
  const parameters = config.object("rope_parameters");
  const full = parameters?.object("full_attention");
  const sliding = parameters?.object("sliding_attention");
  if (!parameters)
    return { full: parseRope(config, defaultTheta), sliding: { theta: localTheta, scaling: NO_SCALING } };
  if (!full) throw parameters.refusal("full_attention", "must be an object");
  if (!sliding) throw parameters.refusal("sliding_attention", "must be an object");
  return {
    full: parseRopeParameters(full, config.positiveNumber("rope_theta", defaultTheta)),
    sliding: parseRopeParameters(sliding, localTheta),
  };
}

function parseRopeParameters(parameters: ConfigReader, defaultTheta: number): RopeConfig {
  return { theta: parameters.positiveNumber("rope_theta", defaultTheta), scaling: parseRopeScaling(parameters) };
}

function parseRopeScaling(scaling: ConfigReader): RopeScaling {
  scaling.requireNeutral("partial_rotary_factor", [1]);
  const typeField = scaling.has("rope_type") ? "rope_type" : "type";
  const kind = scaling.raw(typeField);
  switch (kind) {
    case "default":
      return NO_SCALING;
    case "linear":
      return { kind, factor: scaling.positiveNumber("factor") };
    case "llama3":
      return parseLlama3Scaling(scaling);
    default:
      throw scaling.refusal(typeField, 'is not supported ("default", "linear" and "llama3" are)');
  }
}

function parseLlama3Scaling(scaling: ConfigReader): RopeScaling {
  const lowFreqFactor = scaling.positiveNumber("low_freq_factor");
  const highFreqFactor = scaling.positiveNumber("high_freq_factor");
  if (highFreqFactor <= lowFreqFactor) {
    throw scaling.refusal("high_freq_factor", `must be greater than low_freq_factor ${lowFreqFactor}`);
  }
  return {
    kind: "llama3",
    factor: scaling.positiveNumber("factor"),
    lowFreqFactor,
    highFreqFactor,
    originalMaxPosition: scaling.positiveInt("original_max_position_embeddings"),
  };
}
