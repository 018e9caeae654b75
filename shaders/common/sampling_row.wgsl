// A row of the step state: how its request wants ids to be sampled. See src/sampling/sampling-params.ts.
struct SamplingRow {
  temperature: f32,          // 0: greedy
  top_k: u32,                // 0: all
  top_p: f32,
  min_p: f32,
  seed: vec2<u32>,           // low, high
  flags: u32,
  repetition_penalty: f32,   // 1: off
  presence_penalty: f32,
  frequency_penalty: f32,
  num_biases: u32,
  num_top_logprobs: u32,
}

const SAMPLING_COUNTS = 1u;        // the ids of its text are counted, for penalties
const SAMPLING_ADJUSTS = 2u;       // it samples from adjusted logits
const SAMPLING_LOGPROBS = 4u;      // it wants logprobs
const SAMPLING_CONSTRAINED = 8u;   // it draws only what its mask allows

// What is counted of an id: how often it is in the output, and this bit if it is in the prompt.
const SAMPLING_IN_PROMPT = 0x80000000u;
