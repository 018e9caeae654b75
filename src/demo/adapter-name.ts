import type { EngineInfo } from "../index";

const SOFTWARE_ADAPTERS = /swiftshader|llvmpipe|lavapipe|software|basic render|\bwarp\b/i;

/** The adapter in words, and whether it computes on the CPU. Browsers may leave any of its names empty. */
export function adapterName({ vendor, architecture, description }: EngineInfo["adapter"]): string {
  if (SOFTWARE_ADAPTERS.test(`${vendor} ${architecture} ${description}`)) {
    return `${description || architecture || vendor}, in software`;
  }
  return description || [vendor, architecture].filter(Boolean).join(" ") || "GPU";
}
