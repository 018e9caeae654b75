// Attention of a chunk's queries over the paged cache: flash attention with 32 query rows a workgroup. A row is one query
// head of one token; the heads that share a kv head are packed together, so K and V are read once for all of them.
// Four threads share a row: each holds every fourth vec4 of q and of the output.
// Grid: x = kv head and part of its group, y = tile (neighbouring tokens of one request).
struct Params {
  @size(32) layer: KvLayer,
  num_heads: u32,
  window: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> block_tables: array<u32>;
@group(0) @binding(4) var<storage, read> kv: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;

const THREADS = 128u;
const ROWS = 32u;
const VECS = HEAD_DIM / 4u;
const OWN_VECS = (VECS + 3u) / 4u;
const LOWEST = -3.0e38;

var<workgroup> tile: array<vec4<elem>, TILE_KEYS * VECS>;
var<workgroup> dots: array<f32, ROWS * TILE_KEYS * 4u>;

// K (0) or V (1) of the TILE_KEYS keys from `first` on; keys outside [low, end) read as zero, whatever their slots hold.
fn load_tile(k_or_v: u32, first: u32, low: u32, end: u32, table: u32, kv_head: u32, lid: u32) {
  let block_id = block_tables[table + first / KV_BLOCK_SIZE];
  let base = kv_address(params.layer, block_id, k_or_v, kv_head) + first % KV_BLOCK_SIZE * HEAD_DIM;
  for (var i = lid; i < TILE_KEYS * VECS / 2u; i += THREADS) {
    var values = mat2x4<f32>();
    let key = first + i / (VECS / 2u);
    if (key >= low && key < end) {
      values = kv_load8(base + i * 8u);
    }
    tile[2u * i] = vec4<elem>(values[0]);
    tile[2u * i + 1u] = vec4<elem>(values[1]);
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let work = step_prefill_tile(group.y);
  let row = lid / 4u;
  let lane = lid % 4u;
  let used = row < work.y * GROUP;
  let t = work.x + min(row / GROUP, work.y - 1u);
  let head = group.x * GROUP + row % GROUP;
  let kv_head = group.x * GROUP / (params.num_heads / params.layer.num_kv_heads);
  let first_token = step_token(work.x);
  let first_position = first_token.y;
  let position = first_position + (t - work.x);
  let table = params.layer.table_offset + first_token.z * params.layer.table_stride;
  let row_low = position + 1u - min(position + 1u, params.window);
  let tile_low = first_position + 1u - min(first_position + 1u, params.window);
  let end = first_position + work.y;

  var query: array<vec4<f32>, OWN_VECS>;
  var acc: array<vec4<f32>, OWN_VECS>;
  for (var i = 0u; i < OWN_VECS; i++) {
    let v = 4u * i + lane;
    if (v < VECS) {
      query[i] = q[(t * params.num_heads + head) * VECS + v];
    }
  }
  var highest = LOWEST;
  var total = 0.0;

  for (var first = tile_low / TILE_KEYS * TILE_KEYS; first < end; first += TILE_KEYS) {
    load_tile(0u, first, tile_low, end, table, kv_head, lid);
    workgroupBarrier();
    for (var key = 0u; key < TILE_KEYS; key++) {
      var sum = 0.0;
      for (var i = 0u; i < OWN_VECS; i++) {
        if (4u * i + lane < VECS) {
          sum += dot(query[i], vec4<f32>(tile[key * VECS + 4u * i + lane]));
        }
      }
      dots[(row * TILE_KEYS + key) * 4u + lane] = sum;
    }
    workgroupBarrier();
    load_tile(1u, first, tile_low, end, table, kv_head, lid);

    var score: array<f32, TILE_KEYS>;
    var tile_highest = LOWEST;
    for (var key = 0u; key < TILE_KEYS; key++) {
      let visible = first + key >= row_low && first + key <= position;
      let at = (row * TILE_KEYS + key) * 4u;
      score[key] = select(LOWEST, dots[at] + dots[at + 1u] + dots[at + 2u] + dots[at + 3u], visible);
      tile_highest = max(tile_highest, score[key]);
    }
    let next_highest = max(highest, tile_highest);
    let rescale = exp(highest - next_highest);
    highest = next_highest;
    total *= rescale;
    for (var i = 0u; i < OWN_VECS; i++) {
      acc[i] *= rescale;
    }
    workgroupBarrier();
    for (var key = 0u; key < TILE_KEYS; key++) {
      let weight = select(0.0, exp(score[key] - highest), score[key] > LOWEST);
      total += weight;
      for (var i = 0u; i < OWN_VECS; i++) {
        if (4u * i + lane < VECS) {
          acc[i] += weight * vec4<f32>(tile[key * VECS + 4u * i + lane]);
        }
      }
    }
    workgroupBarrier();
  }

  if (used) {
    for (var i = 0u; i < OWN_VECS; i++) {
      let v = 4u * i + lane;
      if (v < VECS) {
        out[(t * params.num_heads + head) * VECS + v] = acc[i] / total;
      }
    }
  }
}
