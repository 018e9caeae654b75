import type { KvGeometry } from "../kv/geometry";
import type { OffloadEncoding } from "../kv/offload-encoding";
import type { ModelConfig } from "../models/config";
import type { Quantization } from "../protocol/messages";
import { hashName } from "../util/sha256";

/** Raised when a kernel changes what it writes to the KV cache for the same tokens. */
const KV_REVISION = 1;
/** Raised when quantizing makes other numbers of the same weights. */
const QUANTIZATION_REVISION = 1;
/** Raised when a lossy encoding makes other bytes of the same KV, or other KV of the same bytes. */
const ENCODING_REVISION = 1;

export interface KvOrigin {
  /** See loader/weights-hash.ts. */
  readonly weightsHash: string;
  readonly quantization: Quantization | null;
  readonly config: ModelConfig;
  readonly geometry: KvGeometry;
  readonly encoding: OffloadEncoding;
}

/**
 * Names all that the bytes of KV depend on beside the tokens: 128 bits of SHA-256, in hex. What does not reach K or V is in it as
 * well (the whole config): a hit lost is a prompt computed once more, a wrong hit is a wrong answer.
 */
export function kvFingerprint({ weightsHash, quantization, config, geometry, encoding }: KvOrigin): string {
  const weights = quantization === null ? [weightsHash] : [weightsHash, quantization, QUANTIZATION_REVISION];
  const lossy = encoding === "exact" ? [] : [encoding, ENCODING_REVISION];
  return hashName(JSON.stringify([KV_REVISION, weights, config, geometry, ...lossy]));
}
