import { CairnError } from "../../util/errors";
import type { SelfTestSubject, WrongKernel } from "./self-test";

export type DeviceVariant = SelfTestSubject["variant"];

/** How kernels are compiled on a device, and what was wrong with the better ways. */
export interface DeviceVerdict {
  readonly variant: DeviceVariant;
  /** Sentences for a person. */
  readonly warnings: readonly string[];
}

/**
 * The first variant, from `best` down, that computes right.
 * Errors: `device_incorrect` where none does, and what `findFault` throws.
 */
export async function chooseVariant(
  best: DeviceVariant,
  findFault: (variant: DeviceVariant) => Promise<WrongKernel | null>,
): Promise<DeviceVerdict> {
  const warnings: string[] = [];
  let fault: WrongKernel | null = null;
  for (const variant of variantsBelow(best)) {
    fault = await findFault(variant);
    if (!fault) return { variant, warnings };
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
