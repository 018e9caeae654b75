// From a row [q heads][k heads][v heads]: norms q and k by head (QK_NORM), rotates them, scales q, and writes q to `q_out`
// and k, v to the token's slot in the KV cache. One workgroup a head of a token; a thread holds two pairs (i, i + D / 2).
struct Params {
  @size(32) layer: KvLayer,
  num_heads: u32,
  in_stride: u32,        // elements of a row of qkv
  q_scale: f32,
  eps: f32,
  q_norm_offset: u32,    // in `norms`, in elements
  k_norm_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> norms: array<f32>;
@group(0) @binding(4) var<storage, read> rope: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> block_tables: array<u32>;
@group(0) @binding(6) var<storage, read_write> q_out: array<f32>;
@group(0) @binding(7) var<storage, read_write> kv: array<u32>;

override QK_NORM: bool;

const HALF = HEAD_DIM / 2u;
const REDUCE_OUTPUTS = 1u;

// (cos, sin) of position * frequency: the table holds 256 low positions, then multiples of 256; one complex multiply joins them.
fn rope_rotation(position: u32, pair: u32) -> vec2<f32> {
  let low = rope[(position % 256u) * HALF + pair];
  let high = rope[(256u + position / 256u) * HALF + pair];
  return vec2(low.x * high.x - low.y * high.y, low.x * high.y + low.y * high.x);
}

fn rotate(first: vec2<f32>, second: vec2<f32>, position: u32, pair: u32) -> mat2x2<f32> {
  let a = rope_rotation(position, pair);
  let b = rope_rotation(position, pair + 1u);
  let c = vec2(a.x, b.x);
  let s = vec2(a.y, b.y);
  return mat2x2<f32>(first * c - second * s, second * c + first * s);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let t = group.y;
  let head = group.x;
  let token = step_token(t);
  let num_kv_heads = params.layer.num_kv_heads;
  let is_q = head < params.num_heads;
  let is_v = head >= params.num_heads + num_kv_heads;

  let pair = 2u * lid;
  let has_pairs = pair < HALF;
  let base = t * params.in_stride + head * HEAD_DIM;
  var first = vec2(0.0);
  var second = vec2(0.0);
  if (has_pairs) {
    first = vec2(qkv[base + pair], qkv[base + pair + 1u]);
    second = vec2(qkv[base + HALF + pair], qkv[base + HALF + pair + 1u]);
  }

  if (QK_NORM) {
    let sum = reduce_sum(dot(first, first) + dot(second, second), lid);
    if (has_pairs && !is_v) {
      let scale = inverseSqrt(sum / f32(HEAD_DIM) + params.eps);
      let weight = select(params.k_norm_offset, params.q_norm_offset, is_q);
      first *= scale * vec2(norms[weight + pair], norms[weight + pair + 1u]);
      second *= scale * vec2(norms[weight + HALF + pair], norms[weight + HALF + pair + 1u]);
    }
  }
  if (!has_pairs) {
    return;
  }
  if (!is_v) {
    let rotated = rotate(first, second, token.y, pair);
    first = rotated[0];
    second = rotated[1];
  }

  if (is_q) {
    let out = (t * params.num_heads + head) * HEAD_DIM + pair;
    q_out[out] = params.q_scale * first.x;
    q_out[out + 1u] = params.q_scale * first.y;
    q_out[out + HALF] = params.q_scale * second.x;
    q_out[out + HALF + 1u] = params.q_scale * second.y;
    return;
  }
  let block_id = block_tables[params.layer.table_offset + token.z * params.layer.table_stride + token.y / KV_BLOCK_SIZE];
  let kv_head = (head - params.num_heads) % num_kv_heads;
  let element = kv_address(params.layer, block_id, select(0u, 1u, is_v), kv_head) + token.y % KV_BLOCK_SIZE * HEAD_DIM + pair;
  kv_store2(element, first);
  kv_store2(element + HALF, second);
}
