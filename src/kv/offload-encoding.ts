import type { KvGeometry } from "./geometry";

/** How KV lies in every tier below the GPU: byte for byte as in its page, or as int8 with a scale a vector. */
export type OffloadEncoding = "exact" | "int8";

/**
 * Bytes of a block below the GPU. Encoded as int8, a page is its vectors: the head dim elements of one token, K or V, of one
 * kv head of one layer. They lie in the order of the page, which does not depend on how the pool is cut into planes:
 *
 *     scales     [layer slot][K, V][kv head][token]             f32, the largest magnitude of the vector
 *     elements   [layer slot][K, V][kv head][token][head dim]   int8, 127 for that magnitude
 *
 * An element x becomes q, the integer nearest to 127 x / scale; q is worth scale * q / 127, rounded to the page's type, and the
 * scale itself where q is 127. So a vector's largest magnitude comes back to the bit, every other element within scale / 254 and
 * that rounding. A scale under 2^-100 counts as zero; one of 2^120 or more, or of a vector that is not finite, makes it all NaN.
 *
 * **Encoding what was decoded gives the same bytes again**, so that KV changes once, however often it comes and goes: the scale
 * comes back as it was; and the rounding moves an element by less than half a step of q, unless f16 has fewer values below the
 * scale than int8, and then each of them has a q of its own and came back as it was.
 */
export function offloadedPageBytes(
  { pageBytes, headDim, dtype }: Pick<KvGeometry, "pageBytes" | "headDim" | "dtype">,
  encoding: OffloadEncoding,
): number {
  if (encoding === "exact") return pageBytes;
  const numElements = pageBytes / (dtype === "f16" ? 2 : 4);
  return numElements + (4 * numElements) / headDim;
}
