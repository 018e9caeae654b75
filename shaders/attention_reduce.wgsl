// Joins the splits of attention_decode.wgsl. Grid: x = head, y = decode token.
struct Params {
  num_heads: u32,
  window: u32,
  max_splits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> partial_out: array<f32>;
@group(0) @binding(3) var<storage, read> partial_stats: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const SPLIT = 64u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let head = group.x;
  let t = step_decode_token(group.y).x;
  let position = step_token(t).y;
  let first_key = position + 1u - min(position + 1u, params.window);
  let num_splits = position / SPLIT - first_key / SPLIT + 1u;
  let stats = (group.y * params.num_heads + head) * params.max_splits;

  var highest = partial_stats[stats].x;
  for (var s = 1u; s < num_splits; s++) {
    highest = max(highest, partial_stats[stats + s].x);
  }
  var total = 0.0;
  for (var s = 0u; s < num_splits; s++) {
    total += partial_stats[stats + s].y * exp(partial_stats[stats + s].x - highest);
  }
  for (var d = lid; d < HEAD_DIM; d += 64u) {
    var sum = 0.0;
    for (var s = 0u; s < num_splits; s++) {
      sum += partial_out[(stats + s) * HEAD_DIM + d] * exp(partial_stats[stats + s].x - highest);
    }
    out[(t * params.num_heads + head) * HEAD_DIM + d] = sum / total;
  }
}
