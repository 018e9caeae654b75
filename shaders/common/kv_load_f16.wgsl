// Eight neighbouring elements of the binding `kv`, f16 packed by core WGSL; `element` is a multiple of eight.
fn kv_load8(element: u32) -> mat2x4<f32> {
  let words = kv[element / 8u];
  return mat2x4<f32>(
    vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
    vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
  );
}
