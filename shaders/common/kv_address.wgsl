// Where K and V lie: [block][layer slot][K, V][kv head][token of block][head dim], in elements. See kv/geometry.ts.
const KV_BLOCK_SIZE = 16u;

struct KvLayer {
  table_offset: u32,       // of the layer's KV cache group in the block tables
  table_stride: u32,       // block table entries a row
  page_elements: u32,      // of a page in this plane
  slot_offset: u32,        // of the layer's slot in the page
  num_kv_heads: u32,
}

// First element of token 0 of a block, for K (0) or V (1) of a head.
fn kv_address(layer: KvLayer, block_id: u32, k_or_v: u32, head: u32) -> u32 {
  return block_id * layer.page_elements + layer.slot_offset
    + (k_or_v * layer.num_kv_heads + head) * KV_BLOCK_SIZE * HEAD_DIM;
}
