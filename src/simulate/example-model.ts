import { chooseBlocksPerChunk } from "../kv/chunk";
import type { KvGeometry } from "../kv/geometry";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { Request } from "../scheduler/request";

/** Llama 3.2 1B, KV in f16: 16 layers with 8 kv heads of 64, so 32 KiB a token; or pages of `pageBytes`, where given. */
export function exampleGeometry(blockSize: number, pageBytes: number | null = null): KvGeometry {
  const layers = Array.from({ length: 16 }, (_, layer) => layer);
  const shape = { dtype: "f16", blockSize, numKvHeads: 8, headDim: 64, numLayerSlots: layers.length } as const;
  const bytes = pageBytes ?? layers.length * 2 * shape.numKvHeads * blockSize * shape.headDim * 2;
  const groups = [{ kind: "full", window: null, layers }] as const;
  const blocksPerChunk = chooseBlocksPerChunk({ blockSize, groups, pageBytes: bytes });
  return { ...shape, groups, layerSlotBytes: bytes / layers.length, pageBytes: bytes, blocksPerChunk };
}

/** A request that ends after `maxTokens` ids, and no sooner. */
export function makeRequest(requestId: string, promptTokenIds: readonly number[], maxTokens: number): Request {
  return new Request({ requestId, promptTokenIds, sampling: NEUTRAL_SAMPLING, maxTokens, eosTokenIds: [] });
}
