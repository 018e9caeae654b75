// Encodes one plane's part of the pages of blocks as int8, see common/kv_int8.wgsl. Sixteen threads a vector, four vectors a
// workgroup; groups in x: vectors, in y: blocks.
@group(0) @binding(0) var<uniform> params: Int8Plane;
@group(0) @binding(1) var<storage, read> block_ids: array<u32>;
@group(0) @binding(2) var<storage, read> kv: array<u32>;
@group(0) @binding(3) var<storage, read_write> encoded: array<u32>;

const LANES = 16u;
const VECTORS = 4u;
const MAGNITUDE = 0x7fffffffu;
const INFINITY = 0x7f800000u;
const NAN = 0x7fc00000u;

var<workgroup> largest: array<u32, 64>;

// By integers, as a device may flush what is subnormal; all that is not finite becomes infinity or NaN.
fn half_to_float(half: u32) -> f32 {
  let magnitude = half & 0x7fffu;
  if (magnitude < 0x400u) {
    return f32(magnitude) * select(0x1p-24, -0x1p-24, half > 0x7fffu);
  }
  let not_finite = select(0u, INFINITY, magnitude > 0x7bffu);
  return bitcast<f32>(((magnitude + 0x1c000u) << 13u) | not_finite | ((half & 0x8000u) << 16u));
}

fn halves_to_floats(word: u32) -> vec2<f32> {
  return vec2(half_to_float(word & 0xffffu), half_to_float(word >> 16u));
}

// Elements [4 * index, 4 * index + 4) of the plane.
fn load4(index: u32) -> vec4<f32> {
  if (params.is_f16 == 1u) {
    return vec4(halves_to_floats(kv[2u * index]), halves_to_floats(kv[2u * index + 1u]));
  }
  let first = 4u * index;
  return bitcast<vec4<f32>>(vec4(kv[first], kv[first + 1u], kv[first + 2u], kv[first + 3u]));
}

// The bits of the scale of a vector with these bits of its largest magnitude.
fn scale_bits(magnitude: u32) -> u32 {
  if (magnitude >= INT8_LIMIT_SCALE) {
    return NAN;
  }
  return select(magnitude, 0u, magnitude < INT8_MIN_SCALE);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let lane = lid % LANES;
  let vector = group.x * VECTORS + lid / LANES;
  let num_words = select(0u, params.head_dim / 4u, vector < params.plane_vectors);
  let source = (block_ids[group.y] * params.plane_vectors + vector) * (params.head_dim / 4u);

  // Compared as integers, so that a NaN counts as the largest.
  var magnitudes = vec4(0u);
  for (var word = lane; word < num_words; word += LANES) {
    magnitudes = max(magnitudes, bitcast<vec4<u32>>(load4(source + word)) & vec4(MAGNITUDE));
  }
  largest[lid] = max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
  workgroupBarrier();
  var magnitude = 0u;
  for (var i = 0u; i < LANES; i++) {
    magnitude = max(magnitude, largest[lid - lane + i]);
  }
  if (num_words == 0u) {
    return;
  }

  let bits = scale_bits(magnitude);
  if (lane == 0u) {
    encoded[int8_scales(group.y) + params.first_vector + vector] = bits;
  }
  let is_zero = bits == 0u || bits == NAN;
  let scale = bitcast<f32>(select(bits, 0x3f800000u, is_zero));
  let target_word = int8_elements(group.y, vector);
  for (var word = lane; word < num_words; word += LANES) {
    let packed = pack4x8snorm(load4(source + word) / scale);
    encoded[target_word + word] = select(packed, 0u, is_zero);
  }
}
