// Two neighbouring elements of the binding `kv`, f16 packed by core WGSL; out-of-range values are clamped, as their packing is undefined.
fn kv_store2(element: u32, values: vec2<f32>) {
  kv[element / 2u] = pack2x16float(clamp(values, vec2(-65504.0), vec2(65504.0)));
}
