// out[t, n] = sum over k of x[t, k] * weights[n, k]: tiles of 32 tokens x 64 rows, 64 threads, 4 x 8 results a thread.
// Inputs pass through workgroup memory as `elem`; products and sums are f32. The epilogue as in gemv.wgsl.
struct Params {
  num_rows: u32,
  out_stride: u32,
  out_offset: u32,
  part: u32,          // which rows of the step; see step_rows
  epilogue: u32,
  activation: u32,
  in_width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const TILE_TOKENS = 32u;
const TILE_ROWS = 64u;
const TILE_UNITS = 4u;              // units of eight k in a tile
const TILE_VECS = 2u * TILE_UNITS;

// [vec of k][token or row]: neighbouring threads read neighbouring words.
var<workgroup> tile_x: array<vec4<elem>, TILE_VECS * TILE_TOKENS>;
var<workgroup> tile_w: array<vec4<elem>, TILE_VECS * TILE_ROWS>;

fn load_tile_x(first_token: u32, first_unit: u32, num_tokens: u32, lid: u32) {
  let units = (params.in_width + 7u) / 8u;
  for (var i = lid; i < TILE_TOKENS * TILE_UNITS; i += 64u) {
    let t = i / TILE_UNITS;
    let u = i % TILE_UNITS;
    var values = mat2x4<f32>();
    if (first_token + t < num_tokens && first_unit + u < units) {
      let at = 2u * ((first_token + t) * units + first_unit + u);
      values = row_mask(mat2x4<f32>(x[at], x[at + 1u]), first_unit + u, params.in_width);
    }
    tile_x[2u * u * TILE_TOKENS + t] = vec4<elem>(values[0]);
    tile_x[(2u * u + 1u) * TILE_TOKENS + t] = vec4<elem>(values[1]);
  }
}

fn load_tile_w(first_row: u32, first_unit: u32, lid: u32) {
  let units = (params.in_width + 7u) / 8u;
  for (var i = lid; i < TILE_ROWS * TILE_UNITS; i += 64u) {
    let n = i / TILE_UNITS;
    let u = i % TILE_UNITS;
    var values = mat2x4<f32>();
    if (first_row + n < params.num_rows && first_unit + u < units) {
      values = weight_load8(first_row + n, first_unit + u, units);
    }
    tile_w[2u * u * TILE_ROWS + n] = vec4<elem>(values[0]);
    tile_w[(2u * u + 1u) * TILE_ROWS + n] = vec4<elem>(values[1]);
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let rows = step_rows(params.part);
  let num_tokens = rows.y;
  let first_row = group.x * TILE_ROWS;
  let first_token = rows.x + group.y * TILE_TOKENS;
  let units = (params.in_width + 7u) / 8u;
  // Rows come in pairs (gate, up), so a thread owns neighbouring rows: pairs 2 * tx and 2 * tx + 1 of each 16.
  let tx = lid % 8u;
  let ty = lid / 8u;

  var acc: array<array<f32, 8>, 4>;
  for (var first_unit = 0u; first_unit < units; first_unit += TILE_UNITS) {
    load_tile_x(first_token, first_unit, num_tokens, lid);
    load_tile_w(first_row, first_unit, lid);
    workgroupBarrier();
    for (var v = 0u; v < TILE_VECS; v++) {
      var a: array<vec4<f32>, 4>;
      for (var i = 0u; i < 4u; i++) {
        a[i] = vec4<f32>(tile_x[v * TILE_TOKENS + ty + 8u * i]);
      }
      for (var j = 0u; j < 8u; j++) {
        let b = vec4<f32>(tile_w[v * TILE_ROWS + (j / 2u) * 16u + 2u * tx + j % 2u]);
        for (var i = 0u; i < 4u; i++) {
          acc[i][j] += dot(a[i], b);
        }
      }
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < 4u; i++) {
    let t = first_token + ty + 8u * i;
    if (t >= num_tokens) {
      break;
    }
    let base = t * params.out_stride + params.out_offset;
    for (var j = 0u; j < 8u; j += 2u) {
      let row = first_row + (j / 2u) * 16u + 2u * tx;
      if (row >= params.num_rows) {
        break;
      }
      if (params.epilogue == 2u) {
        out[base + row / 2u] = activation_gate(params.activation, acc[i][j], acc[i][j + 1u]);
        continue;
      }
      for (var k = 0u; k < 2u; k++) {
        if (row + k < params.num_rows) {
          let previous = select(0.0, out[base + row + k], params.epilogue == 1u);
          out[base + row + k] = previous + acc[i][j + k];
        }
      }
    }
  }
}
