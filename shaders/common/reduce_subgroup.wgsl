// The functions of reduce_workgroup.wgsl with subgroups: each subgroup adds up in registers, its first lane writes.
// Workgroups are one-dimensional and filled with whole subgroups, so lane i of subgroup s is thread s * lanes + i.

var<workgroup> reduce_scratch: array<f32, WG * REDUCE_OUTPUTS>;
var<workgroup> reduce_num_subgroups: u32;

fn reduce_put(output: u32, value: f32, lid: u32) {
  let lanes = subgroupAdd(1u);
  let sum = subgroupAdd(value);
  if (lid % lanes == 0u) {
    reduce_scratch[output * WG + lid / lanes] = sum;
  }
  if (lid == 0u) {
    reduce_num_subgroups = WG / lanes;
  }
}

fn reduce_take(output: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < reduce_num_subgroups; i++) {
    sum += reduce_scratch[output * WG + i];
  }
  return sum;
}

fn reduce_sum(value: f32, lid: u32) -> f32 {
  workgroupBarrier();
  reduce_put(0u, value, lid);
  workgroupBarrier();
  return reduce_take(0u);
}

fn reduce_max(value: f32, lid: u32) -> f32 {
  workgroupBarrier();
  let lanes = subgroupAdd(1u);
  let highest = subgroupMax(value);
  if (lid % lanes == 0u) {
    reduce_scratch[lid / lanes] = highest;
  }
  workgroupBarrier();
  var result = reduce_scratch[0];
  for (var i = 1u; i < WG / lanes; i++) {
    result = max(result, reduce_scratch[i]);
  }
  return result;
}
