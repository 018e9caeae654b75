// Eight consecutive weights of the binding `weights`; `unit` counts groups of eight.
fn weight_load8(unit: u32) -> mat2x4<f32> {
  let words = weights[unit];
  return mat2x4<f32>(
    vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
    vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
  );
}
