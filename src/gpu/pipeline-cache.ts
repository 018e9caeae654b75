import { CairnError, reasonOf } from "../util/errors";
import type { BindingKind, Bindings, ComputePipeline, Kernel, KernelVariant } from "./kernel";
import { type ComposedWgsl, composeWgsl } from "./wgsl";

const BUFFER_TYPES: Record<BindingKind, GPUBufferBindingType> = {
  uniform: "uniform",
  read: "read-only-storage",
  read_write: "storage",
};

/** Compiles kernels asynchronously and in parallel; equal requests share one pipeline, also while it compiles. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, Promise<ComputePipeline>>();
  readonly #layouts = new Map<Kernel, GPUBindGroupLayout>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Rejects with `gpu_error` that names file and line where the shader is refused. */
  get<B extends Bindings, O extends string>(
    kernel: Kernel<B, O>,
    variant: KernelVariant<O>,
  ): Promise<ComputePipeline<B>> {
    const wgsl = composeWgsl(variant.prelude, [...variant.modules, kernel.source]);
    const key = JSON.stringify([kernel.label, variant.overrides, wgsl.code]);
    let pipeline = this.#pipelines.get(key);
    if (!pipeline) {
      pipeline = this.#compile(kernel, wgsl, variant.overrides);
      this.#pipelines.set(key, pipeline);
    }
    return pipeline as Promise<ComputePipeline<B>>;
  }

  async #compile(kernel: Kernel, wgsl: ComposedWgsl, overrides: Record<string, number>): Promise<ComputePipeline> {
    const device = this.#device;
    const { label } = kernel;
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label, code: wgsl.code });
    const moduleError = device.popErrorScope();
    const layout = this.#layout(kernel);
    const info = await module.getCompilationInfo();
    const errors = info.messages.filter((message) => message.type === "error");
    if (errors.length > 0) {
      await moduleError;
      const lines = errors.map((error) => {
        const place = wgsl.locate(error.lineNum);
        return `${place.file}:${place.line}:${error.linePos}: ${error.message}`;
      });
      throw new CairnError("gpu_error", `Shader ${label} does not compile:\n${lines.join("\n")}`, { label });
    }
    try {
      const pipeline = await device.createComputePipelineAsync({
        label,
        layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main", constants: overrides },
      });
      const names = Object.keys(kernel.bindings);
      return {
        label,
        pipeline,
        bind: (bindLabel, buffers) =>
          device.createBindGroup({
            label: bindLabel,
            layout,
            entries: names.map((name, binding) => ({ binding, resource: { buffer: buffers[name] as GPUBuffer } })),
          }),
      };
    } catch (error) {
      const message = reasonOf(error);
      throw new CairnError("gpu_error", `Pipeline ${label} is refused: ${message}`, { label }, { cause: error });
    }
  }

  #layout(kernel: Kernel): GPUBindGroupLayout {
    let layout = this.#layouts.get(kernel);
    if (!layout) {
      layout = this.#device.createBindGroupLayout({
        label: kernel.label,
        entries: Object.values(kernel.bindings).map((kind, binding) => ({
          binding,
          visibility: 0x4, // GPUShaderStage.COMPUTE; the global is absent in Node
          buffer: { type: BUFFER_TYPES[kind] },
        })),
      });
      this.#layouts.set(kernel, layout);
    }
    return layout;
  }
}
