import type { CachedModel } from "../protocol/cached-model";
import type { MemoryPlan } from "../protocol/memory-plan";
import { countOf, formatBytes, formatParameters } from "./format";

/** What a plan says, as rows of a table. `copy` is what this browser has of the model already. */
export function planRows(
  plan: MemoryPlan,
  copy: CachedModel | null,
): readonly (readonly [label: string, value: string])[] {
  return [
    ["Parameters", formatParameters(plan.numParameters)],
    ["Download", downloadText(plan.downloadBytes, copy)],
    ["GPU memory", formatBytes(plan.gpuBytes)],
    ["of it weights", formatBytes(plan.weightBytes)],
    ["of it KV cache", formatBytes(plan.kvCacheBytes)],
    ["of it work space", formatBytes(plan.stepStateBytes + plan.scratchBytes + plan.stagingBytes)],
    ["KV of 1,000 tokens", formatBytes(plan.kvBytesPer1000Tokens)],
    ["RAM for copies of KV", plan.hostCacheBytes === 0 ? "none" : `${formatBytes(plan.hostCacheBytes)} at most`],
    ["Context", countOf(plan.maxModelLen, "token")],
    ["The model's own limit", countOf(plan.maxPositionEmbeddings, "token")],
  ];
}

function downloadText(downloadBytes: number | null, copy: CachedModel | null): string {
  if (copy?.isComplete) return "none: it is in this browser";
  if (downloadBytes === null) return "its size is not told";
  const missingBytes = Math.max(0, downloadBytes - (copy?.bytes ?? 0));
  return copy ? `${formatBytes(missingBytes)} more of ${formatBytes(downloadBytes)}` : formatBytes(downloadBytes);
}
