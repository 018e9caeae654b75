import { Buffers, MAP_MODE_READ, USAGE } from "../gpu/buffers";
import type { GpuDevice } from "../gpu/device";
import { PipelineCache } from "../gpu/pipeline-cache";
import type { DeviceVariant } from "../kernels/variants";
import { type KernelCase, type KernelTestContext, NAN_WORD } from "./kernel-case";

/** The combinations of f16 and subgroups that the device supports. */
export function testVariants(gpu: GpuDevice): DeviceVariant[] {
  const variants: DeviceVariant[] = [];
  for (const f16 of gpu.f16 ? [false, true] : [false]) {
    for (const subgroups of gpu.subgroups ? [false, true] : [false]) variants.push({ f16, subgroups });
  }
  return variants;
}

export interface KernelCaseRun {
  readonly name: string;
  readonly kernelCase: KernelCase;
  readonly variant: DeviceVariant;
}

/** Every case in every variant of the device in which its shader differs. */
export function testRuns(gpu: GpuDevice, cases: readonly KernelCase[]): KernelCaseRun[] {
  return testVariants(gpu).flatMap((variant) =>
    cases
      .filter(({ ignoresF16, ignoresSubgroups }) => {
        return !(ignoresF16 && variant.f16) && !(ignoresSubgroups && variant.subgroups);
      })
      .map((kernelCase) => ({ name: `${kernelCase.name} (${variantName(variant)})`, kernelCase, variant })),
  );
}

function variantName(variant: DeviceVariant): string {
  return `${variant.f16 ? "f16" : "f32"}, ${variant.subgroups ? "subgroups" : "workgroup memory"}`;
}

/** Runs cases on one device, one at a time: error scopes of a device nest, so two cases at once would mix up theirs. */
export class KernelCaseRunner {
  readonly #gpu: GpuDevice;
  readonly #pipelines: PipelineCache;

  constructor(gpu: GpuDevice) {
    this.#gpu = gpu;
    this.#pipelines = new PipelineCache(gpu.device);
  }

  /** Rejects with the case's own error, else with the first error that WebGPU reported. */
  async run(kernelCase: KernelCase, variant: DeviceVariant): Promise<void> {
    const { device } = this.#gpu;
    const buffers = new Buffers(device);
    const filters = ["out-of-memory", "internal", "validation"] as const;
    for (const filter of filters) device.pushErrorScope(filter);
    let failure: unknown = null;
    try {
      await kernelCase.run(makeContext({ ...this.#gpu, ...variant }, buffers, this.#pipelines, variant));
    } catch (error) {
      failure = error ?? new Error("the case threw nothing");
    }
    for (const _ of filters) failure ??= await device.popErrorScope();
    buffers.destroyAll();
    if (failure instanceof Error) throw failure;
    if (failure !== null) throw new Error((failure as GPUError).message, { cause: failure });
  }
}

/** A context over `gpu`; the caller destroys `buffers`. */
export function makeContext(
  gpu: GpuDevice,
  buffers: Buffers,
  pipelines: PipelineCache,
  variant: DeviceVariant,
): KernelTestContext {
  const { device } = gpu;
  const upload = (label: string, data: Uint32Array | Float32Array) => {
    const buffer = buffers.storage(label, data.byteLength);
    device.queue.writeBuffer(buffer, 0, data as Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>);
    return buffer;
  };
  return {
    gpu,
    buffers,
    pipelines,
    variant,
    upload,
    empty(label, bytes) {
      const buffer = buffers.storage(label, bytes);
      device.queue.writeBuffer(buffer, 0, new Uint32Array(buffer.size / 4).fill(NAN_WORD));
      return buffer;
    },
    dispatch({ label, pipeline }, bindGroup, grid) {
      const encoder = device.createCommandEncoder({ label });
      const pass = encoder.beginComputePass({ label });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...grid);
      pass.end();
      device.queue.submit([encoder.finish()]);
    },
    async readF32(buffer, length) {
      return new Float32Array(await readBytes(device, buffers, buffer)).slice(0, length);
    },
    async readU32(buffer, length) {
      return new Uint32Array(await readBytes(device, buffers, buffer)).slice(0, length);
    },
  };
}

async function readBytes(device: GPUDevice, buffers: Buffers, source: GPUBuffer): Promise<ArrayBuffer> {
  const staging = buffers.create("readback", source.size, USAGE.MAP_READ | USAGE.COPY_DST);
  const encoder = device.createCommandEncoder({ label: "readback" });
  encoder.copyBufferToBuffer(source, 0, staging, 0, source.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_MODE_READ);
  const bytes = staging.getMappedRange().slice(0);
  buffers.destroy(staging);
  return bytes;
}
