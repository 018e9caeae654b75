// Eight weights of a row of the binding `weights`; `unit` counts groups of eight, of which a row has `units`.
// q4_0: a block is 16 bytes. Byte i holds elements i (low four bits) and i + 16 (high ones), each plus eight.
fn weight_load8(row: u32, unit: u32, units: u32) -> mat2x4<f32> {
  let num_blocks = (units + 3u) / 4u;
  let first = row * quant_row_stride(num_blocks, 1u);
  let word = weights[first + unit / 4u];
  let quants = select(word.xy, word.zw, unit % 2u == 1u) >> vec2(4u * (unit / 2u % 2u));
  let scale = quant_scale(first + num_blocks, unit / 4u);
  return scale * mat2x4<f32>(weight_nibbles(quants.x), weight_nibbles(quants.y));
}

// The lower four bits of each byte.
fn weight_nibbles(word: u32) -> vec4<f32> {
  return vec4<f32>(vec4<i32>((vec4(word) >> vec4(0u, 8u, 16u, 24u)) & vec4(15u)) - vec4(8));
}
