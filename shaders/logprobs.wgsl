// The log-softmax of the model's own logits at the id that was sampled and at the most likely ones, as
// src/sampling/logprobs.ts defines it. One workgroup a logit row; rows that want none are left alone.
struct Params {
  num_logits: u32,      // of a row
  logits_stride: u32,   // from row to row, a multiple of four
  first_logprob: u32,   // where in `sampled` the logprobs begin
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> logits: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> rows: array<SamplingRow>;
// (id, flags) of each logit row; then of each 1 + MAX_TOP (id, bits of the logprob): the sampled one, the most likely ones
@group(0) @binding(4) var<storage, read_write> sampled: array<vec2<u32>>;

const REDUCE_OUTPUTS = 1u;

struct Ranked {
  key: u32,
  id: u32,
}

var<workgroup> ranked_key: atomic<u32>;
var<workgroup> ranked_id: atomic<u32>;
var<workgroup> ranked: Ranked;

// The greatest logit behind `before` in the order "logit descending, ties by lowest id"; key 0 if there is none.
fn next_ranked(first: u32, before: Ranked, lid: u32) -> Ranked {
  if (lid == 0u) {
    atomicStore(&ranked_key, 0u);
    atomicStore(&ranked_id, params.num_logits);
  }
  workgroupBarrier();
  var best = Ranked(0u, params.num_logits);
  for (var word = lid; word < (params.num_logits + 3u) / 4u; word += WG) {
    let bits = logits[first + word];
    for (var lane = 0u; lane < min(4u, params.num_logits - 4u * word); lane++) {
      let id = 4u * word + lane;
      let key = logits_key(bits[lane]);
      let is_behind = key < before.key || (key == before.key && id > before.id);
      if (is_behind && key > best.key) {
        best = Ranked(key, id);
      }
    }
  }
  atomicMax(&ranked_key, best.key);
  workgroupBarrier();
  if (best.key == atomicLoad(&ranked_key)) {
    atomicMin(&ranked_id, best.id);
  }
  workgroupBarrier();
  if (lid == 0u) {
    ranked = Ranked(atomicLoad(&ranked_key), atomicLoad(&ranked_id));
  }
  return workgroupUniformLoad(&ranked);
}

// log(sum of exp(logit - greatest)).
fn log_sum(row: LogitRow, lid: u32) -> f32 {
  var own_mass = 0.0;
  for (var id = lid; id < params.num_logits; id += WG) {
    own_mass += logits_weight(row, logits_at(row, id));
  }
  return log(reduce_sum(own_mass, lid));
}

fn log_softmax(bits: u32, greatest: f32, log_mass: f32) -> u32 {
  if (bits == LOGITS_NEGATIVE_INFINITY) {
    return bits;
  }
  return bitcast<u32>(bitcast<f32>(bits) - greatest - log_mass);
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
  let sampling = rows[step_logit_row(r).y];
  if ((sampling.flags & SAMPLING_LOGPROBS) == 0u) {
    return;
  }
  let first = r * (params.logits_stride / 4u);
  let first_logprob = params.first_logprob + r * (1u + MAX_TOP);
  var row = LogitRow(first, 0.0, 1.0);
  var log_mass = 0.0;
  var top = Ranked(0xffffffffu, params.num_logits);
  for (var rank = 1u; rank <= max(1u, sampling.num_top_logprobs); rank++) {
    top = next_ranked(first, top, lid);
    if (rank == 1u) {
      row.greatest = bitcast<f32>(logits_from_key(top.key));
      log_mass = log_sum(row, lid);
      if (lid == 0u) {
        let id = sampled[r].x;
        sampled[first_logprob] = vec2(id, log_softmax(logits_at(row, id), row.greatest, log_mass));
      }
    }
    if (lid == 0u && rank <= sampling.num_top_logprobs) {
      sampled[first_logprob + rank] = vec2(top.id, log_softmax(logits_from_key(top.key), row.greatest, log_mass));
    }
  }
}
