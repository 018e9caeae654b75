// Sums and maxima over a workgroup of WG threads (a power of two), through workgroup memory alone.
// A kernel that calls reduce_put declares REDUCE_OUTPUTS, the number of sums that are open at once.

var<workgroup> reduce_scratch: array<f32, WG * REDUCE_OUTPUTS>;

// Every thread gives its part of sum `output`; after a workgroupBarrier any thread may take the sum.
fn reduce_put(output: u32, value: f32, lid: u32) {
  reduce_scratch[output * WG + lid] = value;
}

fn reduce_take(output: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < WG; i++) {
    sum += reduce_scratch[output * WG + i];
  }
  return sum;
}

// The sum over all threads, for each of them. Uniform control flow only.
fn reduce_sum(value: f32, lid: u32) -> f32 {
  workgroupBarrier();
  reduce_scratch[lid] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) {
      reduce_scratch[lid] += reduce_scratch[lid + half];
    }
  }
  workgroupBarrier();
  return reduce_scratch[0];
}

fn reduce_max(value: f32, lid: u32) -> f32 {
  workgroupBarrier();
  reduce_scratch[lid] = value;
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lid < half) {
      reduce_scratch[lid] = max(reduce_scratch[lid], reduce_scratch[lid + half]);
    }
  }
  workgroupBarrier();
  return reduce_scratch[0];
}
