import { type Buffers, USAGE } from "../gpu/buffers";
import type { ComputePipeline, Grid } from "../gpu/kernel";
import type { PipelineCache } from "../gpu/pipeline-cache";
import type { FloatType, WeightType } from "../kernels/modules";
import { packRepackParams, repackRows, repackRowsGrid, repackRowsVariant } from "../kernels/repack-rows";
import { assert } from "../util/errors";
import { roundUp } from "../util/math";
import type { Quantization } from "./quantization";
import { isQuantType, weightRowBytes } from "./weight-layout";

/** Rows [sourceRow, sourceRow + numRows) of what is staged, and where they go: to `firstRow`, `rowStep` apart. */
export interface RowRange {
  readonly sourceRow: number;
  readonly numRows: number;
  readonly firstRow: number;
  readonly rowStep: number;
}

type RowPipeline = ComputePipeline<typeof repackRows.bindings>;

interface Quantizer extends Quantization {
  readonly pipeline: RowPipeline;
}

/** Writes rows of a checkpoint into the layout of a Linear on the GPU, quantized or as they are. */
export class RowWriter {
  readonly #device: GPUDevice;
  readonly #buffers: Buffers;
  readonly #repack: RowPipeline;
  /** Null where no Linear is quantized. */
  readonly #quantizer: Quantizer | null;
  readonly #params: GPUBuffer;
  #staging: GPUBuffer | null = null;

  private constructor(device: GPUDevice, buffers: Buffers, repack: RowPipeline, quantizer: Quantizer | null) {
    this.#device = device;
    this.#buffers = buffers;
    this.#repack = repack;
    this.#quantizer = quantizer;
    this.#params = buffers.create("rows.params", 32, USAGE.UNIFORM | USAGE.COPY_DST);
  }

  /** `quantization`: null where no Linear to come is quantized. */
  static async create(
    device: GPUDevice,
    buffers: Buffers,
    pipelines: PipelineCache,
    quantization: Quantization | null,
  ): Promise<RowWriter> {
    const [repack, pipeline] = await Promise.all([
      pipelines.get(repackRows, repackRowsVariant),
      quantization && pipelines.get(quantization.kernel, quantization.variant),
    ]);
    return new RowWriter(device, buffers, repack, quantization && pipeline && { ...quantization, pipeline });
  }

  /** The source of the writes that follow; the bytes may be reused after the call. */
  stage(bytes: Uint8Array): void {
    const size = roundUp(bytes.byteLength, 4);
    if (!this.#staging || this.#staging.size < size) {
      if (this.#staging) this.#buffers.destroy(this.#staging);
      this.#staging = this.#buffers.storage("weights.staging", size);
    }
    let source = bytes;
    if (size !== bytes.byteLength) {
      source = new Uint8Array(size);
      source.set(bytes);
    }
    this.#device.queue.writeBuffer(this.#staging, 0, source as Uint8Array<ArrayBuffer>);
  }

  /** Staged rows of `width` elements into rows of `type`; unless that is quantized it must be `sourceType`. */
  write(weights: GPUBuffer, type: WeightType, sourceType: FloatType, width: number, rows: RowRange): void {
    if (isQuantType(type)) {
      assert(this.#quantizer, "no Linear was to be quantized");
      const { pipeline, packParams, grid } = this.#quantizer;
      const params = { ...rows, width, sourceType, type };
      this.#dispatch(pipeline, weights, packParams(params), grid(params));
    } else {
      const rowBytes = width * (sourceType === "f32" ? 4 : 2);
      const params = { ...rows, rowBytes, rowWords: weightRowBytes(type, width) / 4 };
      this.#dispatch(this.#repack, weights, packRepackParams(params), repackRowsGrid(params));
    }
  }

  /** Releases its buffers. */
  finish(): void {
    if (this.#staging) this.#buffers.destroy(this.#staging);
    this.#staging = null;
    this.#buffers.destroy(this.#params);
  }

  #dispatch(
    { label, pipeline, bind }: RowPipeline,
    weights: GPUBuffer,
    params: Uint32Array<ArrayBuffer>,
    grid: Grid,
  ): void {
    this.#device.queue.writeBuffer(this.#params, 0, params);
    const commands = this.#device.createCommandEncoder({ label });
    const pass = commands.beginComputePass({ label });
    pass.setPipeline(pipeline);
    const source = this.#staging as GPUBuffer;
    pass.setBindGroup(0, bind(label, { params: this.#params, source, weights: weights }));
    pass.dispatchWorkgroups(...grid);
    pass.end();
    this.#device.queue.submit([commands.finish()]);
  }
}
