// Writes the logits that the sampler sees in place of the model's own, as src/sampling/adjust-logits.ts defines them.
// One workgroup a logit row; rows that are not adjusted are left alone.
struct Params {
  num_logits: u32,      // of a row
  logits_stride: u32,   // from row to row
  adjusted_row: u32,    // where the adjusted rows begin
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> rows: array<SamplingRow>;
// [row][id]
@group(0) @binding(3) var<storage, read> token_counts: array<u32>;
// [row][MAX_BIASES]: id, bits of the bias
@group(0) @binding(4) var<storage, read> biases: array<vec2<u32>>;
// [row][ceil(num_logits / 32)]: the bit of an id that may be drawn is set
@group(0) @binding(5) var<storage, read> masks: array<u32>;
@group(0) @binding(6) var<storage, read_write> logits: array<u32>;

const EXPONENT = 0x7f800000u;
const NEGATIVE_INFINITY = 0xff800000u;

fn counted(row: u32, id: u32) -> u32 {
  if ((rows[row].flags & SAMPLING_COUNTS) == 0u) {
    return 0u;   // The row's counts are those of another request.
  }
  return token_counts[row * params.num_logits + id];
}

fn is_allowed(row: u32, id: u32) -> bool {
  if ((rows[row].flags & SAMPLING_CONSTRAINED) == 0u) {
    return true;
  }
  let word = masks[row * ((params.num_logits + 31u) / 32u) + id / 32u];
  return ((word >> (id % 32u)) & 1u) == 1u;
}

// NaN and infinity stay as they are.
fn adjusted(bits: u32, bias: f32, row: u32, id: u32) -> u32 {
  if ((bits & EXPONENT) == EXPONENT) {
    return bits;
  }
  if (!is_allowed(row, id)) {
    return NEGATIVE_INFINITY;
  }
  let sampling = rows[row];
  let tokens = counted(row, id);
  let num_in_output = tokens & ~SAMPLING_IN_PROMPT;
  var logit = bitcast<f32>(bits) + bias;
  if (tokens > 0u) {
    logit *= select(sampling.repetition_penalty, 1.0 / sampling.repetition_penalty, logit > 0.0);
  }
  if (num_in_output > 0u) {
    logit -= sampling.frequency_penalty * f32(num_in_output) + sampling.presence_penalty;
  }
  return bitcast<u32>(logit);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) num_groups: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
) {
  let r = grid_index(group, num_groups);
  if (r >= step[0][STEP_NUM_LOGIT_ROWS]) {
    return;
  }
  let row = step_logit_row(r).y;
  if ((rows[row].flags & SAMPLING_ADJUSTS) == 0u) {
    return;
  }
  let first = r * params.logits_stride;
  let first_adjusted = (params.adjusted_row + r) * params.logits_stride;
  for (var id = lid; id < params.num_logits; id += WG) {
    logits[first_adjusted + id] = adjusted(logits[first + id], 0.0, row, id);
  }
  storageBarrier();   // Biased logits overwrite those.
  for (var i = lid; i < rows[row].num_biases; i += WG) {
    let bias = biases[row * MAX_BIASES + i];
    logits[first_adjusted + bias.x] = adjusted(logits[first + bias.x], bitcast<f32>(bias.y), row, bias.x);
  }
}
