// Eight weights of a row of the binding `weights`; `unit` counts groups of eight, of which a row has `units`.
fn weight_load8(row: u32, unit: u32, units: u32) -> mat2x4<f32> {
  let words = weights[row * units + unit];
  return mat2x4<f32>(
    vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
    vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
  );
}
