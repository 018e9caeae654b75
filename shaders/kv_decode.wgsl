// Writes one plane's part of the pages of blocks from what kv_encode made of such pages. A thread makes four elements; groups
// in x: elements, in y: blocks.
@group(0) @binding(0) var<uniform> params: Int8Plane;
@group(0) @binding(1) var<storage, read> block_ids: array<u32>;
@group(0) @binding(2) var<storage, read> encoded: array<u32>;
@group(0) @binding(3) var<storage, read_write> kv: array<u32>;

const F32_NAN = 0x7fc00000u;
const F16_NANS = 0x7e007e00u;

// Subnormals by integers, as a device may flush them. All values are finite and within the range of f16.
fn float_to_half(value: f32) -> u32 {
  if (abs(value) < 0x1p-14) {
    return u32(floor(abs(value) * 0x1p24 + 0.5)) | select(0u, 0x8000u, value < 0.0);
  }
  return pack2x16float(vec2(value, 0.0)) & 0xffffu;
}

fn floats_to_halves(values: vec2<f32>) -> u32 {
  return float_to_half(values.x) | (float_to_half(values.y) << 16u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let vector_words = params.head_dim / 4u;
  let word = group.x * 64u + lid;
  if (word >= params.plane_vectors * vector_words) {
    return;
  }
  let scale = encoded[int8_scales(group.y) + params.first_vector + word / vector_words];
  let is_nan = scale >= INT8_LIMIT_SCALE;
  let quotients = unpack4x8snorm(encoded[int8_elements(group.y, 0u) + word]);
  // 127 / 127 need not be 1 on every device; 126 / 127 is below 0.993.
  let parts = select(quotients, sign(quotients), abs(quotients) > vec4(0.996));
  let values = parts * bitcast<f32>(select(scale, 0u, is_nan));

  let index = block_ids[group.y] * params.plane_vectors * vector_words + word;
  if (params.is_f16 == 1u) {
    let halves = vec2(floats_to_halves(values.xy), floats_to_halves(values.zw));
    let words = select(halves, vec2(F16_NANS), is_nan);
    kv[2u * index] = words.x;
    kv[2u * index + 1u] = words.y;
    return;
  }
  let words = select(bitcast<vec4<u32>>(values), vec4(F32_NAN), is_nan);
  for (var i = 0u; i < 4u; i++) {
    kv[4u * index + i] = words[i];
  }
}
