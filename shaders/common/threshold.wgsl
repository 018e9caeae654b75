// Top-k and top-p as a threshold in the order "logit descending, ties by lowest id", found by radix selection over the
// logits' keys: 8 passes of 4 bits, from the top. All functions want uniform control flow.

// Kept: ids with a greater key, and the first `num_ties` ids with this one. Key 0 belongs to no logit: it keeps all.
struct Threshold {
  key: u32,
  num_ties: u32,
}

// What the passes so far leave open: keys that equal `prefix` above the digit at hand.
struct ThresholdSearch {
  prefix: u32,
  count_above: u32,
  mass_above: f32,
}

var<workgroup> threshold_search: ThresholdSearch;
var<workgroup> threshold_counts: array<atomic<u32>, 16>;
var<workgroup> threshold_masses: array<f32, 16>;

const THRESHOLD_DIGITS = array(vec4(0u, 1u, 2u, 3u), vec4(4u, 5u, 6u, 7u), vec4(8u, 9u, 10u, 11u), vec4(12u, 13u, 14u, 15u));

// The threshold that keeps `k` ids; 1 <= k <= number of logits.
fn threshold_top_k(row: LogitRow, k: u32, lid: u32) -> Threshold {
  var search = ThresholdSearch();
  for (var shift = 28i; shift >= 0i; shift -= 4i) {
    if (lid < 16u) {
      atomicStore(&threshold_counts[lid], 0u);
    }
    workgroupBarrier();
    threshold_count(row, search.prefix, u32(shift), lid);
    workgroupBarrier();
    if (lid == 0u) {
      var digit = 15u;
      var above = search.count_above;
      for (var count = atomicLoad(&threshold_counts[digit]); above + count < k && digit > 0u;) {
        above += count;
        digit--;
        count = atomicLoad(&threshold_counts[digit]);
      }
      threshold_search = ThresholdSearch(search.prefix | (digit << u32(shift)), above, 0.0);
    }
    search = workgroupUniformLoad(&threshold_search);
  }
  return Threshold(search.prefix, k - search.count_above);
}

// Adds this thread's share of the ids to the count of each digit.
fn threshold_count(row: LogitRow, prefix: u32, shift: u32, lid: u32) {
  var counts = array<vec4<u32>, 4>();
  for (var word = lid; word < (params.num_logits + 3u) / 4u; word += WG) {
    let bits = logits[row.first + word];
    for (var lane = 0u; lane < 4u; lane++) {
      let digit = (logits_key(bits[lane]) ^ prefix) >> shift;
      let is_logit = vec4(4u * word + lane < params.num_logits);
      for (var i = 0u; i < 4u; i++) {
        counts[i] += vec4<u32>(is_logit & (vec4(digit) == THRESHOLD_DIGITS[i]));
      }
    }
  }
  for (var digit = 0u; digit < 16u; digit++) {
    let count = counts[digit / 4u][digit % 4u];
    if (count > 0u) {
      atomicAdd(&threshold_counts[digit], count);
    }
  }
}

// The threshold that keeps, of what `floor` keeps, the shortest prefix whose mass reaches `top_p` of the whole; top_p < 1.
fn threshold_top_p(row: LogitRow, top_p: f32, floor: Threshold, lid: u32) -> Threshold {
  var own_mass = 0.0;
  for (var id = lid; id < params.num_logits; id += WG) {
    let bits = logits_at(row, id);
    own_mass += select(0.0, logits_weight(row, bits), logits_key(bits) > floor.key);
  }
  let mass = reduce_sum(own_mass, lid);
  if (lid == 0u) {
    threshold_search = ThresholdSearch(0u, 0u, mass);
  }
  let mass_above_floor = workgroupUniformLoad(&threshold_search).mass_above;

  var floor_mass = 0.0;
  if (floor.num_ties > 0u) {
    floor_mass = f32(floor.num_ties) * logits_weight(row, logits_from_key(floor.key));
  }
  let required = top_p * (mass_above_floor + floor_mass);
  if (mass_above_floor == 0.0 || mass_above_floor < required) {
    let num_ties = threshold_num_ties(row, floor.key, required - mass_above_floor);
    return Threshold(floor.key, min(num_ties, floor.num_ties));
  }
  let search = threshold_search_mass(row, required, floor.key, lid);
  return Threshold(search.prefix, threshold_num_ties(row, search.prefix, required - search.mass_above));
}

// Ids of this key that it takes to reach `mass`, at least one.
fn threshold_num_ties(row: LogitRow, key: u32, mass: f32) -> u32 {
  let weight = logits_weight(row, logits_from_key(key));
  return u32(clamp(ceil(mass / max(weight, 0x1p-126)), 1.0, 0x1p24));
}

// The key above `floor_key` at which the mass of the greater keys and its own reaches `required`.
fn threshold_search_mass(row: LogitRow, required: f32, floor_key: u32, lid: u32) -> ThresholdSearch {
  var search = ThresholdSearch();
  for (var shift = 28i; shift >= 0i; shift -= 4i) {
    threshold_weigh(row, search.prefix, u32(shift), floor_key, lid);
    if (lid == 0u) {
      var above = search.mass_above;
      for (var digit = 16u; digit > 0u; digit--) {
        let mass = threshold_masses[digit - 1u];
        if (mass == 0.0) {
          continue;
        }
        // Where rounding lets no digit reach the mass, the lowest one with any stays.
        threshold_search = ThresholdSearch(search.prefix | ((digit - 1u) << u32(shift)), 0u, above);
        above += mass;
        if (above >= required) {
          break;
        }
      }
    }
    search = workgroupUniformLoad(&threshold_search);
  }
  return search;
}

// The mass of each digit, summed in an order that does not depend on timing.
fn threshold_weigh(row: LogitRow, prefix: u32, shift: u32, floor_key: u32, lid: u32) {
  var masses = array<vec4<f32>, 4>();
  for (var id = lid; id < params.num_logits; id += WG) {
    let bits = logits_at(row, id);
    let key = logits_key(bits);
    let digit = (key ^ prefix) >> shift;
    if (digit < 16u && key > floor_key) {
      let weight = logits_weight(row, bits);
      for (var i = 0u; i < 4u; i++) {
        masses[i] += select(vec4(0.0), vec4(weight), vec4(digit) == THRESHOLD_DIGITS[i]);
      }
    }
  }
  for (var first = 0u; first < 16u; first += REDUCE_OUTPUTS) {
    workgroupBarrier();
    for (var output = 0u; output < REDUCE_OUTPUTS; output++) {
      let digit = first + output;
      reduce_put(output, masses[digit / 4u][digit % 4u], lid);
    }
    workgroupBarrier();
    if (lid < REDUCE_OUTPUTS) {
      threshold_masses[first + lid] = reduce_take(lid);
    }
  }
  workgroupBarrier();
}
