// Eight weights of a row of the binding `weights`; `unit` counts groups of eight, of which a row has `units`.
// q8_0: a block is 32 signed bytes, in order.
fn weight_load8(row: u32, unit: u32, units: u32) -> mat2x4<f32> {
  let num_blocks = (units + 3u) / 4u;
  let first = row * quant_row_stride(num_blocks, 2u);
  let word = weights[first + unit / 2u];
  let quants = select(word.xy, word.zw, unit % 2u == 1u);
  let scale = quant_scale(first + num_blocks * 2u, unit / 4u);
  return scale * mat2x4<f32>(weight_bytes(quants.x), weight_bytes(quants.y));
}

fn weight_bytes(word: u32) -> vec4<f32> {
  return vec4<f32>(vec4<i32>(vec4(word) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}
