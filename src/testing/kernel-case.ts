import type { Buffers } from "../gpu/buffers";
import type { GpuDevice } from "../gpu/device";
import type { Bindings, ComputePipeline, Grid } from "../gpu/kernel";
import type { PipelineCache } from "../gpu/pipeline-cache";
import type { DeviceVariant } from "../kernels/variants";

/**
 * A check of a kernel against its reference. A `*.cases.ts` file exports nothing but lists of them; each case runs once
 * for every variant of the device, in Node on Dawn (kernels.gpu.test.ts) and in Chromium (kernel-page.ts).
 */
export interface KernelCase {
  readonly name: string;
  /** The shader is the same with f16 and without, so the variants with f16 need no run. */
  readonly ignoresF16?: boolean;
  /** Many seconds on a browser's software adapter: runs in Node only. */
  readonly isSlowInBrowser?: boolean;
  /** Likewise with subgroups and without. */
  readonly ignoresSubgroups?: boolean;
  /** Rejects on a mismatch. An error that WebGPU reports fails the case too. */
  run(ctx: KernelTestContext): Promise<void>;
}

export const inNodeOnly = (kernelCase: KernelCase): KernelCase => ({ ...kernelCase, isSlowInBrowser: true });

/** What a case may use. All buffers made through it are destroyed when the case ends. */
export interface KernelTestContext {
  /** `f16` and `subgroups` are those of `variant`. */
  readonly gpu: GpuDevice;
  readonly buffers: Buffers;
  readonly pipelines: PipelineCache;
  readonly variant: DeviceVariant;
  /** A storage buffer that holds `data` from the start. */
  upload(label: string, data: Uint32Array | Float32Array): GPUBuffer;
  /** A storage buffer of at least `bytes` bytes in which every word is NaN, read as f32, f16 or bf16. */
  empty(label: string, bytes: number): GPUBuffer;
  /** Runs the pipeline in a submit of its own. */
  dispatch<B extends Bindings>(pipeline: ComputePipeline<B>, bindGroup: GPUBindGroup, grid: Grid): void;
  /** The first `length` words of a buffer, or all of them, after all dispatches so far. */
  readF32(buffer: GPUBuffer, length?: number): Promise<Float32Array<ArrayBuffer>>;
  readU32(buffer: GPUBuffer, length?: number): Promise<Uint32Array<ArrayBuffer>>;
}

/** A word that is NaN as f32 and as two f16 or bf16. */
export const NAN_WORD = 0x7fc07fc0;

/** `data` at the start of an array of `length` floats whose spare capacity is NaN. */
export function withNaN(length: number, data: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const padded = new Float32Array(length).fill(Number.NaN);
  padded.set(data);
  return padded;
}
