import type { CreateEngineOptions } from "../index";

/** One way to set up the engine; the first has the defaults, each other one changes a single setting. */
export interface Ablation {
  readonly name: string;
  readonly options: Pick<CreateEngineOptions, "kvDtype" | "quantization" | "engine">;
}

const INT8_OFFLOAD = "KV below the GPU in int8";

export const ABLATIONS: readonly Ablation[] = [
  { name: "all on", options: {} },
  { name: "one step in flight", options: { engine: { maxInFlightSteps: 1 } } },
  { name: "no prefix cache", options: { engine: { usePrefixCache: false } } },
  { name: "nothing kept in RAM", options: { engine: { useHostCache: false } } },
  { name: "nothing kept in storage", options: { engine: { useStorage: false } } },
  { name: INT8_OFFLOAD, options: { engine: { offloadEncoding: "int8" } } },
  { name: "norms not fused", options: { engine: { useFusedNorm: false } } },
  { name: "no GEMV", options: { engine: { useGemvUpToTokens: 0 } } },
  { name: "no subgroups", options: { engine: { useSubgroups: false } } },
  { name: "no f16 arithmetic", options: { engine: { useF16: false } } },
  { name: "f32 KV, all f32", options: { kvDtype: "f32" } },
  { name: "weights in q8_0", options: { quantization: "q8_0" } },
  { name: "weights in q4_0", options: { quantization: "q4_0" } },
  { name: "one request at a time", options: { engine: { maxNumRunning: 1 } } },
];

/** All of them; of "int8" the one that offloads so, beside the defaults; of "storage" and "backends" none. */
export function chooseAblations(only: string | null): readonly Ablation[] {
  if (only === "storage" || only === "backends") return [];
  return only === "int8" ? ABLATIONS.filter(({ name }, index) => index === 0 || name === INT8_OFFLOAD) : ABLATIONS;
}
