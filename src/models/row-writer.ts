import { type Buffers, USAGE } from "../gpu/buffers";
import type { ComputePipeline, Grid } from "../gpu/kernel";
import type { PipelineCache } from "../gpu/pipeline-cache";
import type { FloatType, WeightType } from "../kernels/modules";
import { packQuantizeParams, quantizeRows, quantizeRowsGrid, quantizeRowsVariant } from "../kernels/quantize-rows";
import { packRepackParams, repackRows, repackRowsGrid, repackRowsVariant } from "../kernels/repack-rows";
import { assert } from "../util/errors";
import { roundUp } from "../util/math";
import { isQuantType, weightRowBytes } from "./weight-layout";

/** Rows [sourceRow, sourceRow + numRows) of what is staged, and where they go: to `firstRow`, `rowStep` apart. */
export interface RowRange {
  readonly sourceRow: number;
  readonly numRows: number;
  readonly firstRow: number;
  readonly rowStep: number;
}

interface Pipelines {
  readonly repack: ComputePipeline<typeof repackRows.bindings>;
  /** Null where no Linear is quantized. */
  readonly quantize: ComputePipeline<typeof quantizeRows.bindings> | null;
}

/** Writes rows of a checkpoint into the layout of a Linear on the GPU, quantized or as they are. */
export class RowWriter {
  readonly #device: GPUDevice;
  readonly #buffers: Buffers;
  readonly #pipelines: Pipelines;
  readonly #params: GPUBuffer;
  #staging: GPUBuffer | null = null;

  private constructor(device: GPUDevice, buffers: Buffers, pipelines: Pipelines) {
    this.#device = device;
    this.#buffers = buffers;
    this.#pipelines = pipelines;
    this.#params = buffers.create("rows.params", 32, USAGE.UNIFORM | USAGE.COPY_DST);
  }

  /** `types`: those of the Linears to come. */
  static async create(
    device: GPUDevice,
    buffers: Buffers,
    pipelines: PipelineCache,
    types: readonly WeightType[],
  ): Promise<RowWriter> {
    const [repack, quantize] = await Promise.all([
      pipelines.get(repackRows, repackRowsVariant),
      types.some(isQuantType) ? pipelines.get(quantizeRows, quantizeRowsVariant) : null,
    ]);
    return new RowWriter(device, buffers, { repack, quantize });
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
    const { repack, quantize } = this.#pipelines;
    if (isQuantType(type)) {
      assert(quantize, "no Linear was to be quantized");
      const params = { ...rows, width, sourceType, type };
      this.#dispatch(quantize, weights, packQuantizeParams(params), quantizeRowsGrid(params));
    } else {
      const rowBytes = width * (sourceType === "f32" ? 4 : 2);
      const params = { ...rows, rowBytes, rowWords: weightRowBytes(type, width) / 4 };
      this.#dispatch(repack, weights, packRepackParams(params), repackRowsGrid(params));
    }
  }

  /** Releases its buffers. */
  finish(): void {
    if (this.#staging) this.#buffers.destroy(this.#staging);
    this.#staging = null;
    this.#buffers.destroy(this.#params);
  }

  #dispatch(
    { label, pipeline, bind }: ComputePipeline<typeof repackRows.bindings>,
    weights: GPUBuffer,
    params: Uint32Array<ArrayBuffer>,
    grid: Grid,
  ): void {
    this.#device.queue.writeBuffer(this.#params, 0, params);
    const commands = this.#device.createCommandEncoder({ label });
    const pass = commands.beginComputePass({ label });
    pass.setPipeline(pipeline);
    const source = { buffer: this.#staging as GPUBuffer };
    pass.setBindGroup(0, bind(label, { params: { buffer: this.#params }, source, weights: { buffer: weights } }));
    pass.dispatchWorkgroups(...grid);
    pass.end();
    this.#device.queue.submit([commands.finish()]);
  }
}
