// A number in [0, 1), a multiple of 2^-24, from (seed, position) alone: pcg3d (Jarzynski and Olano, "Hash Functions for
// GPU Rendering", JCGT 2020). The same bits as src/sampling/random.ts.
fn random_uniform(seed: vec2<u32>, position: u32) -> f32 {
  var v = vec3<u32>(seed, position) * 1664525u + 1013904223u;
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v ^= v >> vec3(16u);
  v.x += v.y * v.z;
  return f32(v.x >> 8u) * 0x1p-24;
}
