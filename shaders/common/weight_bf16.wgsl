// Eight consecutive weights of the binding `weights`; `unit` counts groups of eight.
fn weight_load8(unit: u32) -> mat2x4<f32> {
  let words = weights[unit];
  let low = bitcast<vec4<f32>>(words << vec4(16u));
  let high = bitcast<vec4<f32>>(words & vec4(0xffff0000u));
  return mat2x4<f32>(low.x, high.x, low.y, high.y, low.z, high.z, low.w, high.w);
}
