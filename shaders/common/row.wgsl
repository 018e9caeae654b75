// Rows of f32 are stored in units of eight; what the last unit holds past the width may be anything, NaN included.
const ROW_LANES = vec4(0u, 1u, 2u, 3u);

fn row_mask(values: mat2x4<f32>, unit: u32, width: u32) -> mat2x4<f32> {
  if (width % 8u == 0u || unit < width / 8u) {
    return values;
  }
  let first = unit * 8u;
  return mat2x4<f32>(
    select(vec4(0.0), values[0], vec4(first) + ROW_LANES < vec4(width)),
    select(vec4(0.0), values[1], vec4(first + 4u) + ROW_LANES < vec4(width)),
  );
}

fn row_scale(a: mat2x4<f32>, b: mat2x4<f32>) -> mat2x4<f32> {
  return mat2x4<f32>(a[0] * b[0], a[1] * b[1]);
}

fn row_dot(a: mat2x4<f32>, b: mat2x4<f32>) -> f32 {
  return dot(a[0], b[0]) + dot(a[1], b[1]);
}
