// Eight weights of a row of the binding `weights`; `unit` counts groups of eight, of which a row has `units`.
fn weight_load8(row: u32, unit: u32, units: u32) -> mat2x4<f32> {
  let i = 2u * (row * units + unit);
  return mat2x4<f32>(bitcast<vec4<f32>>(weights[i]), bitcast<vec4<f32>>(weights[i + 1u]));
}
