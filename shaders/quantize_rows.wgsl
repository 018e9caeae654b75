// Quantizes rows of a checkpoint tensor into a Linear's layout (see common/quant_row.wgsl), to the last bit alike on every
// device: all arithmetic is on integers, since devices differ in how they divide, round to f16 and treat subnormals.
//
// A block's scale is the f16 nearest to (its largest magnitude) / 127 in q8_0, to (its value of largest magnitude, the first
// of these) / -8 in q4_0; ties go to even, what f16 cannot hold to its largest. A quant is the integer nearest to value / scale,
// ties away from zero, clamped to [-127, 127] or [-8, 7]; it is 0 where the scale is 0. A block that holds an infinity or a NaN
// gets a NaN for its scale. One thread for two blocks, whose scales share a word.
struct Params {
  source_row: u32,    // first row to quantize
  num_rows: u32,
  width: u32,         // elements of a row
  source_type: u32,   // 0 f32, 1 f16, 2 bf16
  bits: u32,          // of a quant: 8 or 4
  first_row: u32,     // destination of the first row
  row_step: u32,      // destination rows from one source row to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<u32>;

const BLOCK = 32u;
const MAGNITUDE = 0x7fffffffu;
const INFINITY = 0x7f800000u;
const F16_LARGEST = 0x7bffu;
const F16_NAN = 0x7e00u;

fn f16_to_f32_bits(half: u32) -> u32 {
  let sign = (half & 0x8000u) << 16u;
  let fraction = half & 0x3ffu;
  switch ((half >> 10u) & 0x1fu) {
    case 0u: {
      if (fraction == 0u) {
        return sign;
      }
      let top = firstLeadingBit(fraction);
      return sign | ((top + 103u) << 23u) | ((fraction << (23u - top)) & 0x7fffffu);
    }
    case 31u: {
      return sign | INFINITY | (fraction << 13u);
    }
    default: {
      return sign | (((half & 0x7fffu) + 0x1c000u) << 13u);
    }
  }
}

// The bits, as f32, of an element of a source row; 0 past the row's end.
fn element(row: u32, column: u32) -> u32 {
  if (column >= params.width) {
    return 0u;
  }
  let index = row * params.width + column;
  if (params.source_type == 0u) {
    return source[index];
  }
  let half = (source[index / 2u] >> (16u * (index % 2u))) & 0xffffu;
  if (params.source_type == 2u) {
    return half << 16u;
  }
  return f16_to_f32_bits(half);
}

// A positive number: mantissa * 2^exponent.
struct Number {
  mantissa: u32,
  exponent: i32,
}

// The magnitude of a finite f32, its mantissa under 2^24.
fn f32_magnitude(bits: u32) -> Number {
  let exponent = (bits & MAGNITUDE) >> 23u;
  return Number((bits & 0x7fffffu) | (min(exponent, 1u) << 23u), i32(max(exponent, 1u)) - 150);
}

// That of a finite f16, its mantissa under 2^11.
fn f16_magnitude(bits: u32) -> Number {
  let exponent = (bits & 0x7fffu) >> 10u;
  return Number((bits & 0x3ffu) | (min(exponent, 1u) << 10u), i32(max(exponent, 1u)) - 25);
}

// The bits of the nearest f16, ties to even; F16_LARGEST for all beyond it. The lowest bit of the mantissa, which must have more
// than 12, may stand for any smaller ones.
fn round_to_f16(value: Number) -> u32 {
  let top = i32(firstLeadingBit(value.mantissa));
  // The exponent of the result's last bit.
  let last = max(top + value.exponent - 10, -24);
  let shift = u32(last - value.exponent);
  if (value.mantissa == 0u || shift > 31u) {
    return 0u;
  }
  let floor = value.mantissa >> shift;
  let rest = value.mantissa & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  let rounded = floor + u32(rest > half || (rest == half && floor % 2u == 1u));
  // A mantissa that is rounded up to the next power of two carries into the exponent.
  return min(u32(last + 24) * 0x400u + rounded, F16_LARGEST);
}

// The scale of a block whose largest magnitude is that of `largest`, as f16 bits.
fn block_scale(largest: u32) -> u32 {
  if ((largest & MAGNITUDE) >= INFINITY) {
    return F16_NAN;
  }
  let value = f32_magnitude(largest);
  if (params.bits == 4u) {
    let sign = (~largest >> 16u) & 0x8000u;
    return sign | round_to_f16(Number(value.mantissa << 7u, value.exponent - 10));
  }
  let dividend = value.mantissa << 8u;
  let quotient = dividend / 127u;
  return round_to_f16(Number(quotient | u32(quotient * 127u != dividend), value.exponent - 8));
}

// value / scale as a quant, in two's complement.
fn quantize(value: u32, scale: u32) -> u32 {
  if ((scale & 0x7fffu) == 0u || scale == F16_NAN) {
    return 0u;
  }
  let dividend = f32_magnitude(value);
  let divisor = f16_magnitude(scale);
  let shift = divisor.exponent - dividend.exponent;
  var magnitude = 128u;
  if (shift > i32(countLeadingZeros(divisor.mantissa)) - 7) {
    return 0u;   // The divisor is over twice the dividend.
  }
  if (shift >= 0) {
    let shifted = divisor.mantissa << u32(shift);
    magnitude = min((2u * dividend.mantissa + shifted) / (2u * shifted), magnitude);
  }
  let is_negative = value >> 31u != scale >> 15u;
  let quant = select(i32(magnitude), -i32(magnitude), is_negative);
  return bitcast<u32>(select(clamp(quant, -127, 127), clamp(quant, -8, 7), params.bits == 4u));
}

fn scale_of_block(row: u32, first_column: u32) -> u32 {
  var largest = 0u;
  for (var i = 0u; i < BLOCK; i++) {
    let value = element(row, first_column + i);
    if ((value & MAGNITUDE) > (largest & MAGNITUDE)) {
      largest = value;
    }
  }
  return block_scale(largest);
}

fn store_quants(row: u32, first_column: u32, scale: u32, first_word: u32) {
  for (var w = 0u; w < params.bits; w++) {
    var word = 0u;
    for (var b = 0u; b < 4u; b++) {
      let column = first_column + 4u * w + b;
      var byte = quantize(element(row, column), scale) & 0xffu;
      if (params.bits == 4u) {
        byte = ((byte + 8u) & 15u) | (((quantize(element(row, column + 16u), scale) + 8u) & 15u) << 4u);
      }
      word |= byte << (8u * b);
    }
    weights[first_word + w] = word;
  }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) num_groups: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
) {
  let num_blocks = (params.width + BLOCK - 1u) / BLOCK;
  let num_pairs = (num_blocks + 1u) / 2u;
  let index = grid_index(group, num_groups) * 64u + lid;
  let row = index / num_pairs;
  if (row >= params.num_rows) {
    return;
  }
  let pair = index % num_pairs;
  // A block has a word of quants for every bit; scales fill whole words of 16 bytes.
  let row_words = num_blocks * params.bits + (num_blocks + 7u) / 8u * 4u;
  let first_word = (params.first_row + row * params.row_step) * row_words;
  var scales = 0u;
  for (var b = 2u * pair; b < min(2u * pair + 2u, num_blocks); b++) {
    let scale = scale_of_block(params.source_row + row, b * BLOCK);
    store_quants(params.source_row + row, b * BLOCK, scale, first_word + b * params.bits);
    scales |= scale << (16u * (b % 2u));
  }
  weights[first_word + num_blocks * params.bits + pair] = scales;
}
