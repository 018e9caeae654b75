import { version } from "../../package.json";
import type { SelfTestSubject, WrongKernel } from "../runner/self-test/self-test";
import { CairnError } from "../util/errors";
import { bytesToHex, sha256 } from "../util/sha256";

export type DeviceVariant = SelfTestSubject["variant"];

/** How kernels are compiled on a device, and what was wrong with the better ways. */
export interface DeviceVerdict {
  readonly variant: DeviceVariant;
  /** Sentences for a person. */
  readonly warnings: readonly string[];
}

/** Remembers verdicts. What is forgotten is found again, so that nothing here has to be kept, and nothing fails a load. */
export interface VerdictMemory {
  get(key: string): Promise<DeviceVerdict | null>;
  set(key: string, verdict: DeviceVerdict): Promise<void>;
}

/**
 * The remembered verdict, or else the first variant, from `best` down, that computes right.
 * Errors: `device_incorrect` where none does, and what `findFault` throws.
 */
export async function chooseVariant(
  best: DeviceVariant,
  key: string,
  memory: VerdictMemory,
  findFault: (variant: DeviceVariant) => Promise<WrongKernel | null>,
): Promise<DeviceVerdict> {
  const known = await memory.get(key);
  if (known) return known;
  const warnings: string[] = [];
  let fault: WrongKernel | null = null;
  for (const variant of variantsBelow(best)) {
    fault = await findFault(variant);
    if (!fault) {
      const verdict = { variant, warnings };
      await memory.set(key, verdict);
      return verdict;
    }
    warnings.push(`This GPU gave wrong results ${nameOf(variant)}, in ${describeFault(fault)}: switched off.`);
  }
  throw new CairnError("device_incorrect", `This GPU gave wrong results in ${fault && describeFault(fault)}.`, {
    ...fault,
  });
}

/** Without subgroups, then without f16, then without both. */
function variantsBelow({ f16, subgroups }: DeviceVariant): DeviceVariant[] {
  const lesser = [
    { f16, subgroups: false },
    { f16: false, subgroups },
    { f16: false, subgroups: false },
  ];
  const all = new Map([{ f16, subgroups }, ...lesser].map((variant) => [JSON.stringify(variant), variant]));
  return [...all.values()];
}

function nameOf({ f16, subgroups }: DeviceVariant): string {
  const used = [f16 ? "16-bit arithmetic" : "", subgroups ? "subgroups" : ""].filter(Boolean);
  return used.length > 0 ? `with ${used.join(" and ")}` : "without extensions";
}

function describeFault({ kernel, error }: WrongKernel): string {
  return `${kernel} (error ${error.toPrecision(2)})`;
}

/** All that a verdict depends on: the GPU, its driver as far as it can be seen, this package, and which pipelines there are. */
export function verdictKey(subject: Omit<SelfTestSubject, "pipelines">): string {
  const { gpu, variant, config, layout, geometry, gemvUpToTokens, fusedNorm } = subject;
  const { hiddenSize, numHeads, numKvHeads, headDim, qkNorm, postNorms } = config;
  const matrices = new Set([...layout.linears.values()].map(({ type, plan }) => `${type} ${plan.width}`));
  const kernels = [hiddenSize, numHeads, numKvHeads, headDim, qkNorm, postNorms, [...matrices], geometry.dtype];
  const settings = [variant, gemvUpToTokens, fusedNorm];
  const facts = [version, globalThis.navigator?.userAgent ?? "", gpu.adapter, kernels, settings];
  return bytesToHex(sha256(new TextEncoder().encode(JSON.stringify(facts))));
}
