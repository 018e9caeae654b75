import type { ComputePipeline, Grid } from "./kernel";
import type { Profiler } from "./profiler";

/** Encodes dispatches into one compute pass a submit; with a profiler, into one pass a dispatch. */
export class Encoder {
  readonly #device: GPUDevice;
  readonly #profiler: Profiler | null;
  #commands: GPUCommandEncoder;
  #pass: GPUComputePassEncoder | null = null;

  constructor(device: GPUDevice, profiler: Profiler | null) {
    this.#device = device;
    this.#profiler = profiler;
    this.#commands = device.createCommandEncoder();
  }

  dispatch(kernel: ComputePipeline, bindGroup: GPUBindGroup, grid: Grid): void {
    if (this.#profiler) this.#endPass();
    this.#pass ??= this.#commands.beginComputePass({
      label: kernel.label,
      timestampWrites: this.#profiler?.timestampWrites(bindGroup.label),
    });
    this.#pass.setPipeline(kernel.pipeline);
    this.#pass.setBindGroup(0, bindGroup);
    this.#pass.dispatchWorkgroups(...grid);
  }

  /** `size` bytes from the start of one buffer to another's, after all dispatches so far. */
  copy(source: GPUBuffer, target: GPUBuffer, size: number): void {
    this.#endPass();
    this.#commands.copyBufferToBuffer(source, 0, target, 0, size);
  }

  /** Submits what was encoded and begins anew. */
  submit(): void {
    this.#endPass();
    this.#profiler?.resolve(this.#commands);
    this.#device.queue.submit([this.#commands.finish()]);
    this.#commands = this.#device.createCommandEncoder();
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
  }
}
