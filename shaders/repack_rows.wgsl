// Copies rows of a checkpoint tensor to where a Linear keeps them: padded with zeros to whole units of eight elements,
// at a stride of rows (gate and up are interleaved). One thread a destination word.
struct Params {
  source_row: u32,    // first row to copy
  num_rows: u32,
  row_bytes: u32,     // of a source row; even
  row_words: u32,     // of a destination row
  first_row: u32,     // destination of the first row
  row_step: u32,      // destination rows from one source row to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<u32>;

// Source rows of 16-bit elements may begin in the middle of a word.
fn source_word(byte_offset: u32) -> u32 {
  let word = source[byte_offset / 4u];
  if (byte_offset % 4u == 0u) {
    return word;
  }
  return (word >> 16u) | (source[byte_offset / 4u + 1u] << 16u);
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) num_groups: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
) {
  let index = grid_index(group, num_groups) * 256u + lid;
  let row = index / params.row_words;
  if (row >= params.num_rows) {
    return;
  }
  let column = index % params.row_words;
  let byte = column * 4u;
  var word = 0u;
  if (byte < params.row_bytes) {
    word = source_word((params.source_row + row) * params.row_bytes + byte);
  }
  if (byte + 2u == params.row_bytes) {
    word &= 0xffffu;
  }
  weights[(params.first_row + row * params.row_step) * params.row_words + column] = word;
}
