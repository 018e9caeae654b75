import type { CachedModel, MemoryPlan } from "../index";
import { countOf, formatBytes, formatParameters } from "./format";

export interface PlanRow {
  readonly label: string;
  readonly value: string;
  /** Of the row before it that is no part. */
  readonly isPart?: true;
}

/** What a plan says, as rows of a table. `copy` is what this browser has of the model already. */
export function planRows(plan: MemoryPlan, copy: CachedModel | null): readonly PlanRow[] {
  const workBytes = plan.stepStateBytes + plan.scratchBytes + plan.stagingBytes;
  return [
    { label: "Download", value: downloadText(plan.downloadBytes, copy) },
    { label: "GPU memory", value: formatBytes(plan.gpuBytes) },
    { label: "weights", value: formatBytes(plan.weightBytes), isPart: true },
    { label: "KV cache", value: formatBytes(plan.kvCacheBytes), isPart: true },
    { label: "buffers to work in", value: formatBytes(workBytes), isPart: true },
    { label: "KV of 1,000 tokens", value: formatBytes(plan.kvBytesPer1000Tokens) },
    {
      label: "RAM for copies of KV",
      value: plan.hostCacheBytes === 0 ? "none" : `at most ${formatBytes(plan.hostCacheBytes)}`,
    },
    { label: "Context that is set up", value: countOf(plan.maxModelLen, "token") },
    { label: "The model's longest context", value: countOf(plan.maxPositionEmbeddings, "token") },
    { label: "Parameters", value: formatParameters(plan.numParameters) },
  ];
}

function downloadText(downloadBytes: number, copy: CachedModel | null): string {
  if (copy?.isComplete) return "none: it is in this browser";
  const missingBytes = Math.max(0, downloadBytes - (copy?.bytes ?? 0));
  return copy ? `${formatBytes(missingBytes)} more of ${formatBytes(downloadBytes)}` : formatBytes(downloadBytes);
}
