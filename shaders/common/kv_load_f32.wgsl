// Eight neighbouring elements of the binding `kv`, f32; `element` is a multiple of eight.
fn kv_load8(element: u32) -> mat2x4<f32> {
  return mat2x4<f32>(bitcast<vec4<f32>>(kv[element / 4u]), bitcast<vec4<f32>>(kv[element / 4u + 1u]));
}
