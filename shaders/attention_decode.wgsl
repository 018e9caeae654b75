// Attention of single-token queries over one split of 64 keys (positions 64 s to 64 s + 63, the same split for every batch
// and context), for the query heads that share a kv head: K and V are read once for all of them.
// Writes the split's maximum, sum and unscaled output; attention_reduce.wgsl joins the splits.
// Grid: x = split counted from the first one in the window, y = kv head and part of its group, z = decode token.
struct Params {
  @size(32) layer: KvLayer,
  num_heads: u32,
  window: u32,           // keys that a query sees, itself included; 0xffffffff in full attention
  max_splits: u32,       // stride of the partial results
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> block_tables: array<u32>;
@group(0) @binding(4) var<storage, read> kv: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> partial_out: array<f32>;
@group(0) @binding(6) var<storage, read_write> partial_stats: array<vec2<f32>>;

const SPLIT = 64u;
const UNITS = HEAD_DIM / 8u;
const SLICES = 64u / UNITS;          // threads that share the keys of one unit of V
const LOWEST = -3.0e38;

var<workgroup> query: array<mat2x4<f32>, GROUP * UNITS>;
var<workgroup> blocks: array<u32, 4>;
var<workgroup> scores: array<f32, GROUP * SPLIT>;
var<workgroup> part: array<mat2x4<f32>, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let t = step_decode_token(group.z).x;
  let token = step_token(t);
  let position = token.y;
  let first_key = position + 1u - min(position + 1u, params.window);
  let split = first_key / SPLIT + group.x;
  let low = max(first_key, split * SPLIT);
  let high = min(position + 1u, (split + 1u) * SPLIT);
  if (low >= high) {
    return;
  }
  let first_head = group.y * GROUP;
  let kv_head = first_head / (params.num_heads / params.layer.num_kv_heads);

  for (var i = lid; i < GROUP * UNITS; i += 64u) {
    let at = 2u * ((t * params.num_heads + first_head) * UNITS + i);
    query[i] = mat2x4<f32>(q[at], q[at + 1u]);
  }
  if (lid < 4u) {
    let entry = split * 4u + lid;
    let table = params.layer.table_offset + token.z * params.layer.table_stride;
    blocks[lid] = select(0u, block_tables[table + min(entry, params.layer.table_stride - 1u)], entry * KV_BLOCK_SIZE < high);
  }
  workgroupBarrier();

  let key = split * SPLIT + lid;
  let visible = key >= low && key < high;
  var score: array<f32, GROUP>;
  if (visible) {
    let base = kv_address(params.layer, blocks[lid / KV_BLOCK_SIZE], 0u, kv_head) + lid % KV_BLOCK_SIZE * HEAD_DIM;
    for (var u = 0u; u < UNITS; u++) {
      let k = kv_load8(base + u * 8u);
      for (var g = 0u; g < GROUP; g++) {
        let a = query[g * UNITS + u];
        score[g] += dot(a[0], k[0]) + dot(a[1], k[1]);
      }
    }
  }
  for (var g = 0u; g < GROUP; g++) {
    scores[g * SPLIT + lid] = select(LOWEST, score[g], visible);
  }
  workgroupBarrier();

  softmax_of_split(lid, group.z, first_head, group.x);

  // Thread (unit, slice) adds up its unit of V over the keys of its slice.
  let unit = lid % UNITS;
  let slice = lid / UNITS;
  var acc: array<mat2x4<f32>, GROUP>;
  if (slice < SLICES) {
    for (var i = low - split * SPLIT + slice; i < high - split * SPLIT; i += SLICES) {
      let base = kv_address(params.layer, blocks[i / KV_BLOCK_SIZE], 1u, kv_head) + i % KV_BLOCK_SIZE * HEAD_DIM;
      let v = kv_load8(base + unit * 8u);
      for (var g = 0u; g < GROUP; g++) {
        acc[g] += scores[g * SPLIT + i] * v;
      }
    }
  }
  for (var g = 0u; g < GROUP; g++) {
    part[lid] = acc[g];
    workgroupBarrier();
    if (slice == 0u) {
      var sum = part[unit];
      for (var s = 1u; s < SLICES; s++) {
        sum += part[s * UNITS + unit];
      }
      let at = ((group.z * params.num_heads + first_head + g) * params.max_splits + group.x) * HEAD_DIM + unit * 8u;
      for (var i = 0u; i < 4u; i++) {
        partial_out[at + i] = sum[0][i];
        partial_out[at + 4u + i] = sum[1][i];
      }
    }
    workgroupBarrier();
  }
}

// Turns scores into weights exp(score - maximum); masked keys get exactly 0. One thread a head.
fn softmax_of_split(lid: u32, d: u32, first_head: u32, split: u32) {
  if (lid < GROUP) {
    var highest = LOWEST;
    for (var i = 0u; i < SPLIT; i++) {
      highest = max(highest, scores[lid * SPLIT + i]);
    }
    var sum = 0.0;
    for (var i = 0u; i < SPLIT; i++) {
      let score = scores[lid * SPLIT + i];
      let weight = select(0.0, exp(score - highest), score > LOWEST);
      scores[lid * SPLIT + i] = weight;
      sum += weight;
    }
    partial_stats[(d * params.num_heads + first_head + lid) * params.max_splits + split] = vec2(highest, sum);
  }
  workgroupBarrier();
}
