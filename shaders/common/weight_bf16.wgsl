// Eight weights of a row of the binding `weights`; `unit` counts groups of eight, of which a row has `units`.
fn weight_load8(row: u32, unit: u32, units: u32) -> mat2x4<f32> {
  let words = weights[row * units + unit];
  let low = bitcast<vec4<f32>>(words << vec4(16u));
  let high = bitcast<vec4<f32>>(words & vec4(0xffff0000u));
  return mat2x4<f32>(low.x, high.x, low.y, high.y, low.z, high.z, low.w, high.w);
}
