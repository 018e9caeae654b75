import type { Prelude, WgslModule } from "./wgsl";

export type BindingKind = "uniform" | "read" | "read_write";
export type Bindings = Readonly<Record<string, BindingKind>>;

/**
 * A compute shader and its interface: one entry point `main`, group 0, binding indices in the order of `bindings`.
 * A test reflects the composed WGSL against this descriptor, so it can be trusted.
 */
export interface Kernel<B extends Bindings = Bindings, O extends string = string> {
  readonly label: string;
  readonly source: WgslModule;
  readonly bindings: B;
  readonly overrides: readonly O[];
}

/** `source`: the text of the shader, whose file is called as the kernel is. */
export function defineKernel<const B extends Bindings, const O extends string = never>(
  kernel: Omit<Kernel<B, O>, "source"> & { readonly source: string },
): Kernel<B, O> {
  return { ...kernel, source: { name: `${kernel.label}.wgsl`, source: kernel.source } };
}

/** One way to compile a kernel: everything but the source that decides what the pipeline does. */
export interface KernelVariant<O extends string = string> {
  readonly prelude: Prelude;
  /** Common modules that the shader calls. */
  readonly modules: readonly WgslModule[];
  readonly overrides: Readonly<Record<O, number>>;
}

export interface ComputePipeline<B extends Bindings = Bindings> {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  /** Each buffer as a whole. */
  bind(label: string, buffers: Readonly<Record<keyof B, GPUBuffer>>): GPUBindGroup;
}

/** Groups in x, y, z. */
export type Grid = readonly [x: number, y?: number, z?: number];

export const MAX_GROUPS_PER_DIMENSION = 65535;

/** `numGroups` as a 2-D grid where one dimension does not hold them; the shader derives the index from both (common/grid.wgsl) and drops the excess. */
export function foldGrid(numGroups: number): Grid {
  if (numGroups <= MAX_GROUPS_PER_DIMENSION) return [numGroups];
  const rows = Math.ceil(numGroups / MAX_GROUPS_PER_DIMENSION);
  return [Math.ceil(numGroups / rows), rows];
}
