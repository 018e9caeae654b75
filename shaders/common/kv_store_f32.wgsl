// Two neighbouring elements of the binding `kv`, f32.
fn kv_store2(element: u32, values: vec2<f32>) {
  kv[element] = bitcast<u32>(values.x);
  kv[element + 1u] = bitcast<u32>(values.y);
}
