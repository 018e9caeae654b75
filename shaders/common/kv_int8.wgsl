// Pages encoded as int8, block after block: the scales of all vectors of a page, then their elements, four a word. What the
// numbers mean is told in kv/offload-encoding.ts. The binding `params` is an Int8Plane.
struct Int8Plane {
  head_dim: u32,
  is_f16: u32,          // the page's elements: 1 f16, two a word; 0 f32
  page_vectors: u32,    // of a whole page
  plane_vectors: u32,   // of the page's part in the plane at hand
  first_vector: u32,    // of that part
}

// Bits of the scales 2^-100 and 2^120. All that is divided and multiplied between them is far from where devices differ.
const INT8_MIN_SCALE = 0x0d800000u;
const INT8_LIMIT_SCALE = 0x7b800000u;

// The word of a page's first scale, and that of the first element of a vector of the plane.
fn int8_scales(place: u32) -> u32 {
  return place * params.page_vectors * (1u + params.head_dim / 4u);
}

fn int8_elements(place: u32, vector: u32) -> u32 {
  return int8_scales(place) + params.page_vectors + (params.first_vector + vector) * (params.head_dim / 4u);
}
