// Logits as the sampler sees them. They are read as bits, so that NaN and infinity are found whatever a compiler assumes
// about floats; their order is that of a u32 key.

const LOGITS_POSITIVE_INFINITY = 0x7f800000u;
const LOGITS_NEGATIVE_INFINITY = 0xff800000u;

// One row of the logits and what turns a logit into a weight.
struct LogitRow {
  first: u32,         // of the row, in words of four
  greatest: f32,
  temperature: f32,
}

fn logits_at(row: LogitRow, id: u32) -> u32 {
  return logits[row.first + id / 4u][id % 4u];
}

// NaN or +infinity; -infinity is a mask, which is legal.
fn logits_is_invalid(bits: u32) -> bool {
  return (bits & 0x7fffffffu) > LOGITS_POSITIVE_INFINITY || bits == LOGITS_POSITIVE_INFINITY;
}

// Keys order as the logits do; -0 and 0 have the same.
fn logits_key(bits: u32) -> u32 {
  if (bits == 0x80000000u) {
    return 0x80000000u;
  }
  return bits ^ select(0x80000000u, 0xffffffffu, bits >= 0x80000000u);
}

fn logits_from_key(key: u32) -> u32 {
  return key ^ select(0xffffffffu, 0x80000000u, key >= 0x80000000u);
}

// exp((logit - greatest) / temperature): 1 for the greatest. Half values cannot overflow, nor can the quotient of what
// exp would not flush to zero anyway.
fn logits_weight(row: LogitRow, bits: u32) -> f32 {
  if (bits == LOGITS_NEGATIVE_INFINITY) {
    return 0.0;
  }
  let half_distance = 0.5 * row.greatest - 0.5 * bitcast<f32>(bits);
  if (half_distance <= 0.0) {
    return 1.0;
  }
  if (half_distance > 52.0 * row.temperature) {
    return 0.0;
  }
  return exp(-2.0 * (half_distance / row.temperature));
}
