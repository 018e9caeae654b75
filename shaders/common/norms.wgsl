// Eight consecutive weights of the binding `norms`; `unit` counts groups of eight.
fn norms_load8(unit: u32) -> mat2x4<f32> {
  return mat2x4<f32>(norms[2u * unit], norms[2u * unit + 1u]);
}
