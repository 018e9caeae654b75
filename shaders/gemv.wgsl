// out[t, n] = sum over k of in[t, k] * weights[n, k]. ROWS output rows for M_TILE tokens a workgroup; every thread takes
// units of eight k, keeps its inputs in registers and uses them for all rows. Workgroups for the same rows are neighbours,
// so that weights are read from memory once.
//
// PROLOGUE  0  in = x
//           1  in = norm(x) * norm_weight
//           2  in = norm(x') * norm_weight with x' = x + norm(y) * post_weight; the first workgroup stores x'
// epilogue  0  out = sum;  1  out += sum;  2  rows are gate, up, gate, up ...: out[t, n / 2] = act(gate) * up
struct Params {
  num_rows: u32,
  out_stride: u32,    // elements from one token's output to the next
  out_offset: u32,    // column of row 0
  part: u32,          // which rows of the step; see step_rows
  norm_offset: u32,   // in `norms`, in units of eight
  post_offset: u32,
  eps: f32,
  stores_x: u32,      // PROLOGUE 2: this slice stores x'
  epilogue: u32,
  activation: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> norms: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> x_out: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

override IN_WIDTH: u32;
override PROLOGUE: u32;

const ROWS = 4u;
const REDUCE_OUTPUTS = ROWS * M_TILE;

var<workgroup> inverse_rms_x: array<f32, M_TILE>;
var<workgroup> inverse_rms_y: array<f32, M_TILE>;
var<workgroup> sums: array<f32, ROWS * M_TILE>;

fn load_x(t: u32, unit: u32) -> mat2x4<f32> {
  let i = 2u * (t * ((IN_WIDTH + 7u) / 8u) + unit);
  return row_mask(mat2x4<f32>(x[i], x[i + 1u]), unit, IN_WIDTH);
}

fn load_y(t: u32, unit: u32) -> mat2x4<f32> {
  let i = 2u * (t * ((IN_WIDTH + 7u) / 8u) + unit);
  return row_mask(mat2x4<f32>(y[i], y[i + 1u]), unit, IN_WIDTH);
}

// The residual stream: x, or x' in PROLOGUE 2.
fn load_residual(t: u32, m: u32, unit: u32) -> mat2x4<f32> {
  let values = load_x(t, unit);
  if (PROLOGUE < 2u) {
    return values;
  }
  return values + inverse_rms_y[m] * row_scale(load_y(t, unit), norms_load8(params.post_offset + unit));
}

// The inverse RMS of a token's row, from the sums of squares that all threads have put.
fn take_inverse_rms(m: u32) -> f32 {
  return inverseSqrt(reduce_take(m) / f32(IN_WIDTH) + params.eps);
}

// The tokens of these loops are counted at run time: unrolled, they would make the most of the code.
fn prepare_norms(first_token: u32, num_tokens: u32, lid: u32) {
  let units = (IN_WIDTH + 7u) / 8u;
  if (PROLOGUE == 2u) {
    for (var m = 0u; m < num_tokens; m++) {
      var squares = 0.0;
      for (var unit = lid; unit < units; unit += WG) {
        let values = load_y(first_token + m, unit);
        squares += row_dot(values, values);
      }
      reduce_put(m, squares, lid);
    }
    workgroupBarrier();
    if (lid < num_tokens) {
      inverse_rms_y[lid] = take_inverse_rms(lid);
    }
    workgroupBarrier();
  }
  for (var m = 0u; m < num_tokens; m++) {
    var squares = 0.0;
    for (var unit = lid; unit < units; unit += WG) {
      let values = load_residual(first_token + m, m, unit);
      squares += row_dot(values, values);
    }
    reduce_put(m, squares, lid);
  }
  workgroupBarrier();
  if (lid < num_tokens) {
    inverse_rms_x[lid] = take_inverse_rms(lid);
  }
  workgroupBarrier();
}

fn store_residual(first_token: u32, num_tokens: u32, lid: u32) {
  let units = (IN_WIDTH + 7u) / 8u;
  for (var m = 0u; m < num_tokens; m++) {
    for (var unit = lid; unit < units; unit += WG) {
      let values = load_residual(first_token + m, m, unit);
      let i = 2u * ((first_token + m) * units + unit);
      x_out[i] = values[0];
      x_out[i + 1u] = values[1];
    }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) num_groups: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
) {
  let num_tokens = step_rows(params.part).y;   // The parts that GEMV serves begin at 0.
  let num_tiles = (num_tokens + M_TILE - 1u) / M_TILE;
  let group_index = grid_index(group, num_groups);
  let first_token = group_index % num_tiles * M_TILE;
  let num_own_tokens = min(num_tokens - first_token, M_TILE);
  let first_row = group_index / num_tiles * ROWS;
  let units = (IN_WIDTH + 7u) / 8u;
  if (PROLOGUE > 0u) {
    prepare_norms(first_token, num_own_tokens, lid);
  }
  if (PROLOGUE == 2u && first_row == 0u && params.stores_x == 1u) {
    store_residual(first_token, num_own_tokens, lid);
  }

  var acc: array<array<f32, M_TILE>, ROWS>;
  for (var unit = lid; unit < units; unit += WG) {
    var inputs: array<mat2x4<f32>, M_TILE>;
    for (var m = 0u; m < M_TILE; m++) {
      inputs[m] = load_residual(first_token + m, m, unit);
      if (PROLOGUE > 0u) {
        inputs[m] = inverse_rms_x[m] * row_scale(inputs[m], norms_load8(params.norm_offset + unit));
      }
    }
    for (var r = 0u; r < ROWS; r++) {
      let row = min(first_row + r, params.num_rows - 1u);
      let weight = weight_load8(row, unit, units);
      for (var m = 0u; m < M_TILE; m++) {
        acc[r][m] += row_dot(weight, inputs[m]);
      }
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    for (var m = 0u; m < M_TILE; m++) {
      reduce_put(m * ROWS + r, acc[r][m], lid);
    }
  }
  workgroupBarrier();
  if (lid < ROWS * M_TILE) {
    sums[lid] = reduce_take(lid);
  }
  workgroupBarrier();

  let t = first_token + lid / ROWS;
  let row = first_row + lid % ROWS;
  if (lid >= ROWS * M_TILE || t >= num_tokens || row >= params.num_rows) {
    return;
  }
  let base = t * params.out_stride + params.out_offset;
  switch (params.epilogue) {
    case 1u: {
      out[base + row] += sums[lid];
    }
    case 2u: {
      if (row % 2u == 0u) {
        out[base + row / 2u] = activation_gate(params.activation, sums[lid], sums[lid + 1u]);
      }
    }
    default: {
      out[base + row] = sums[lid];
    }
  }
}
