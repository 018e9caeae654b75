// x[t] = scale * embedding[id of token t], for the ids that this slice of the embedding holds. One workgroup a token.
struct Params {
  first_id: u32,   // of the slice
  num_ids: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> last_ids: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4<f32>>;

override WIDTH: u32;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) num_groups: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
) {
  let t = grid_index(group, num_groups);
  if (t >= step[0][STEP_NUM_TOKENS]) {
    return;
  }
  let token = step_token(t);
  var id = token.x;
  if (id == STEP_LAST_SAMPLED) {
    id = last_ids[token.z];
  }
  if (id < params.first_id || id - params.first_id >= params.num_ids) {
    return;
  }
  let units = (WIDTH + 7u) / 8u;
  for (var unit = lid; unit < units; unit += 64u) {
    let values = weight_load8(id - params.first_id, unit, units);
    x[2u * (t * units + unit)] = params.scale * values[0];
    x[2u * (t * units + unit) + 1u] = params.scale * values[1];
  }
}
