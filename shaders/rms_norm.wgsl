// out[r] = norm(x[t]) * weight, where t = r, or the token of logit row r when GATHER.
// With POST, first x[t] += norm(y[t]) * post_weight: the second norm of a post-norm block. One workgroup a row.
struct Params {
  norm_offset: u32,   // of the weight in `norms`, in units of eight
  post_offset: u32,
  eps: f32,
  part: u32,          // which rows; see step_rows. With GATHER: logit rows of tokens in that part
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> norms: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;

override IN_WIDTH: u32;
override POST: bool;
override GATHER: bool;

const REDUCE_OUTPUTS = 1u;

fn inverse_rms(sum_of_squares: f32) -> f32 {
  return inverseSqrt(sum_of_squares / f32(IN_WIDTH) + params.eps);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) num_groups: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
) {
  let rows = step_rows(params.part);
  var r = grid_index(group, num_groups);
  var t = rows.x + r;
  if (GATHER) {
    if (r >= step[0][STEP_NUM_LOGIT_ROWS]) {
      return;
    }
    t = step_logit_row(r).x;
  } else {
    r = t;
  }
  if (t < rows.x || t >= rows.y) {
    return;
  }
  let units = (IN_WIDTH + 7u) / 8u;
  let base = t * units;

  if (POST) {
    var squares = 0.0;
    for (var unit = lid; unit < units; unit += WG) {
      let i = 2u * (base + unit);
      let values = row_mask(mat2x4<f32>(y[i], y[i + 1u]), unit, IN_WIDTH);
      squares += row_dot(values, values);
    }
    let scale = inverse_rms(reduce_sum(squares, lid));
    for (var unit = lid; unit < units; unit += WG) {
      let i = 2u * (base + unit);
      let weight = norms_load8(params.post_offset + unit);
      x[i] += scale * y[i] * weight[0];
      x[i + 1u] += scale * y[i + 1u] * weight[1];
    }
  }

  var squares = 0.0;
  for (var unit = lid; unit < units; unit += WG) {
    let i = 2u * (base + unit);
    let values = row_mask(mat2x4<f32>(x[i], x[i + 1u]), unit, IN_WIDTH);
    squares += row_dot(values, values);
  }
  let scale = inverse_rms(reduce_sum(squares, lid));
  for (var unit = lid; unit < units; unit += WG) {
    let i = 2u * (base + unit);
    let o = 2u * (r * units + unit);
    let weight = norms_load8(params.norm_offset + unit);
    out[o] = scale * x[i] * weight[0];
    out[o + 1u] = scale * x[i + 1u] * weight[1];
  }
}
