// A quantized row in words of 16 bytes: the quants of its blocks of 32 elements, then an f16 scale for each block.

fn quant_row_stride(num_blocks: u32, block_words: u32) -> u32 {
  return num_blocks * block_words + (num_blocks + 7u) / 8u;
}

// The scale of block `b`; `first` is the first word of the row's scales. Those of small weights are subnormal, which
// unpack2x16float may flush.
fn quant_scale(first: u32, b: u32) -> f32 {
  let half = (weights[first + b / 8u][b / 2u % 4u] >> (16u * (b % 2u))) & 0xffffu;
  let subnormal = f32(half & 0x3ffu) * select(0x1p-24, -0x1p-24, half >= 0x8000u);
  return select(unpack2x16float(half).x, subnormal, (half & 0x7c00u) == 0u);
}
