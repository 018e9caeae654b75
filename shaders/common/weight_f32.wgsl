// Eight consecutive weights of the binding `weights`; `unit` counts groups of eight.
fn weight_load8(unit: u32) -> mat2x4<f32> {
  return mat2x4<f32>(bitcast<vec4<f32>>(weights[2u * unit]), bitcast<vec4<f32>>(weights[2u * unit + 1u]));
}
