import type { Bindings, ComputePipeline, Kernel, KernelVariant } from "../gpu/kernel";
import type { PipelineCache } from "../gpu/pipeline-cache";

/** A kernel, bound to its buffers. */
export interface Stage {
  readonly pipeline: ComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

export async function makeStage<B extends Bindings>(
  pipelines: PipelineCache,
  kernel: Kernel<B, never>,
  variant: KernelVariant<never>,
  buffers: Readonly<Record<keyof B, GPUBuffer>>,
): Promise<Stage> {
  const pipeline = await pipelines.get(kernel, variant);
  return { pipeline, bindGroup: pipeline.bind(kernel.label, buffers) };
}
