// Draws an id from each row of logits, as src/sampling/sample.ts defines it. One workgroup a row.
struct Params {
  num_logits: u32,      // of a row
  logits_stride: u32,   // from row to row, a multiple of four
  adjusted_row: u32,    // where the adjusted rows begin
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> logits: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> rows: array<SamplingRow>;
@group(0) @binding(4) var<storage, read_write> last_ids: array<u32>;
// (id, flags) of each logit row
@group(0) @binding(5) var<storage, read_write> sampled: array<vec2<u32>>;
// [row][id]; see common/sampling_row.wgsl
@group(0) @binding(6) var<storage, read_write> token_counts: array<u32>;

const REDUCE_OUTPUTS = 8u;
const SAMPLED_NOT_FINITE = 1u;

struct Greatest {
  key: u32,
  id: u32,
  is_invalid: u32,
}

var<workgroup> greatest_key: atomic<u32>;
var<workgroup> greatest_id: atomic<u32>;
var<workgroup> invalid_count: atomic<u32>;
var<workgroup> greatest: Greatest;

// The greatest logit and the lowest id that has it; invalid where a logit is NaN or +infinity, or none is finite.
fn find_greatest(first: u32, lid: u32) -> Greatest {
  if (lid == 0u) {
    atomicStore(&greatest_id, params.num_logits);
  }
  workgroupBarrier();
  var best_key = 0u;
  var best_id = 0u;
  for (var word = lid; word < (params.num_logits + 3u) / 4u; word += WG) {
    let bits = logits[first + word];
    for (var lane = 0u; lane < min(4u, params.num_logits - 4u * word); lane++) {
      if (logits_is_invalid(bits[lane])) {
        atomicAdd(&invalid_count, 1u);
      } else if (logits_key(bits[lane]) > best_key) {
        best_key = logits_key(bits[lane]);
        best_id = 4u * word + lane;
      }
    }
  }
  atomicMax(&greatest_key, best_key);
  workgroupBarrier();
  let key = atomicLoad(&greatest_key);
  if (best_key == key) {
    atomicMin(&greatest_id, best_id);
  }
  workgroupBarrier();
  if (lid == 0u) {
    let is_invalid = atomicLoad(&invalid_count) > 0u || key <= logits_key(LOGITS_NEGATIVE_INFINITY);
    greatest = Greatest(key, atomicLoad(&greatest_id), u32(is_invalid));
  }
  return workgroupUniformLoad(&greatest);
}

fn draw_id(row: LogitRow, sampling: SamplingRow, position: u32, lid: u32) -> u32 {
  var threshold = Threshold(0u, 0u);
  if (sampling.top_k > 0u && sampling.top_k < params.num_logits) {
    threshold = threshold_top_k(row, sampling.top_k, lid);
  }
  if (sampling.top_p < 1.0) {
    threshold = threshold_top_p(row, sampling.top_p, threshold, lid);
  }
  var last_tie = params.num_logits;
  if (threshold.num_ties > 0u) {
    let ties = DrawRule(DRAW_TIES, threshold, 0u, 0.0);
    last_tie = draw_walk(row, ties, f32(threshold.num_ties) - 0.5, 0.0, lid);
  }
  let kept = DrawRule(DRAW_WEIGHTS, threshold, last_tie, sampling.min_p);
  return draw_walk(row, kept, 0.0, random_uniform(sampling.seed, position), lid);
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
  let logit_row = step_logit_row(r);
  let sampling = rows[logit_row.y];
  let is_adjusted = (sampling.flags & SAMPLING_ADJUSTS) != 0u;
  let first = (r + select(0u, params.adjusted_row, is_adjusted)) * (params.logits_stride / 4u);
  let top = find_greatest(first, lid);
  var id = top.id;
  if (top.is_invalid != 0u) {
    id = 0u;   // Meaningless, but the step in flight behind this one looks it up.
  } else if (sampling.temperature > 0.0) {
    let row = LogitRow(first, bitcast<f32>(logits_from_key(top.key)), sampling.temperature);
    id = draw_id(row, sampling, logit_row.z, lid);
  }
  if (lid == 0u) {
    last_ids[logit_row.y] = id;
    sampled[r] = vec2(id, top.is_invalid * SAMPLED_NOT_FINITE);
    if ((sampling.flags & SAMPLING_COUNTS) != 0u) {
      token_counts[logit_row.y * params.num_logits + id] += 1u;   // The row's next step sees it.
    }
  }
}
