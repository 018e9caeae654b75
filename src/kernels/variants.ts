import reduceSubgroup from "../../shaders/common/reduce_subgroup.wgsl?raw";
import reduceWorkgroup from "../../shaders/common/reduce_workgroup.wgsl?raw";
import type { WgslModule } from "../gpu/wgsl";
import { commonModule } from "./modules";

/** What the device can do and the config allows; every kernel works in all four combinations. */
export interface DeviceVariant {
  /** Bounded matmul inputs are f16 in workgroup memory. */
  readonly f16: boolean;
  readonly subgroups: boolean;
}

export function reduceModule(variant: DeviceVariant): WgslModule {
  return variant.subgroups
    ? commonModule("reduce_subgroup", reduceSubgroup)
    : commonModule("reduce_workgroup", reduceWorkgroup);
}

/** The extensions that a kernel with reductions or f16 tiles has to enable. */
export function enables(uses: { readonly f16?: boolean; readonly subgroups?: boolean }): string[] {
  const names: string[] = [];
  if (uses.f16) names.push("f16");
  if (uses.subgroups) names.push("subgroups");
  return names;
}
