import type { VerdictMemory } from "../engine/device-verdict";
import type { DeviceVerdict } from "../runner/self-test/choose-variant";

/** Verdicts for as long as a test wants them. */
export function mapVerdicts(): VerdictMemory {
  const verdicts = new Map<string, DeviceVerdict>();
  return {
    get: async (key) => verdicts.get(key) ?? null,
    set: async (key, verdict) => void verdicts.set(key, verdict),
  };
}
