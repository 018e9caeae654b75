// A walk over ids in ascending order to where a running sum passes a goal, by the whole workgroup: each level cuts the
// range into a part a thread, sums the parts, and goes on in the part in which the sum passes.

// What a walk sums: ids at the threshold's key, counted; or the weights of the ids that are kept.
const DRAW_TIES = 0u;
const DRAW_WEIGHTS = 1u;

struct DrawRule {
  summand: u32,
  threshold: Threshold,
  // The last of the ids at the threshold's key that is kept. Only for weights.
  last_tie: u32,
  min_weight: f32,
}

struct DrawPart {
  index: u32,
  sum_before: f32,
  goal: f32,
}

var<workgroup> draw_sums: array<f32, WG>;
var<workgroup> draw_part: DrawPart;

// The first id at which the running sum exceeds `goal_sum` + `goal_fraction` * (sum of all), else the last one with a
// summand. Uniform control flow; at least one id has a summand above 0.
fn draw_walk(row: LogitRow, rule: DrawRule, goal_sum: f32, goal_fraction: f32, lid: u32) -> u32 {
  var first = 0u;
  var end = params.num_logits;
  var part = DrawPart();
  while (end - first > 1u) {
    let part_length = (end - first + WG - 1u) / WG;
    let part_first = first + lid * part_length;
    var sum = 0.0;
    for (var id = part_first; id < min(part_first + part_length, end); id++) {
      sum += draw_summand(row, rule, id);
    }
    draw_sums[lid] = sum;
    workgroupBarrier();
    if (lid == 0u) {
      if (end - first == params.num_logits) {
        part.goal = goal_sum + goal_fraction * draw_total();
      }
      draw_part = draw_choose_part(part);
    }
    part = workgroupUniformLoad(&draw_part);
    first += part.index * part_length;
    end = min(first + part_length, end);
  }
  return first;
}

fn draw_total() -> f32 {
  var total = 0.0;
  for (var i = 0u; i < WG; i++) {
    total += draw_sums[i];
  }
  return total;
}

fn draw_choose_part(whole: DrawPart) -> DrawPart {
  var chosen = whole;
  var running = whole.sum_before;
  for (var i = 0u; i < WG; i++) {
    if (draw_sums[i] == 0.0) {
      continue;
    }
    chosen = DrawPart(i, running, whole.goal);
    running += draw_sums[i];
    if (running > whole.goal) {
      break;
    }
  }
  return chosen;
}

fn draw_summand(row: LogitRow, rule: DrawRule, id: u32) -> f32 {
  let bits = logits_at(row, id);
  let key = logits_key(bits);
  if (rule.summand == DRAW_TIES) {
    return select(0.0, 1.0, key == rule.threshold.key);
  }
  if (key < rule.threshold.key || (key == rule.threshold.key && id > rule.last_tie)) {
    return 0.0;
  }
  let weight = logits_weight(row, bits);
  return select(0.0, weight, weight >= rule.min_weight);
}
