import type { Buffers } from "../gpu/buffers";
import { USAGE } from "../gpu/buffers";
import type { ComputePipeline } from "../gpu/kernel";
import type { PipelineCache } from "../gpu/pipeline-cache";
import type { WeightType } from "../kernels/modules";
import {
  packRepackParams,
  type RepackParams,
  repackRows,
  repackRowsGrid,
  repackRowsVariant,
} from "../kernels/repack-rows";
import type { WeightPiece } from "../loader/weight-map";
import { assert } from "../util/errors";
import { decodeFloats } from "../util/float-bits";
import { roundUp } from "../util/math";
import type { ModelConfig } from "./config";
import { type LinearLayout, type WeightLayout, weightRowBytes } from "./weight-layout";
import { allNorms, type LinearPlan, type NormPlan, type WeightPlan } from "./weight-plan";

/** Rows [firstRow, firstRow + numRows) of a matrix, in a buffer of their own that fits one binding. */
export interface LinearSlice {
  readonly buffer: GPUBuffer;
  readonly firstRow: number;
  readonly numRows: number;
}

/** A matrix [numRows, width] on the GPU, rows padded to units of eight elements. */
export interface Linear {
  readonly name: string;
  readonly width: number;
  readonly numRows: number;
  readonly type: WeightType;
  readonly slices: readonly LinearSlice[];
}

/** Where the rows of a checkpoint tensor go: row r to row `firstRow + r * rowStep` of a Linear. */
interface RowTarget {
  readonly linear: Linear;
  readonly firstRow: number;
  readonly rowStep: number;
}

/** The weights of a model on the GPU, filled piece by piece in any order. */
export class ModelWeights {
  /** All norm weights as f32, each at an offset that is a multiple of eight elements. `1 + w` is already added. */
  readonly norms: GPUBuffer;
  readonly #device: GPUDevice;
  readonly #buffers: Buffers;
  readonly #repack: ComputePipeline<typeof repackRows.bindings>;
  readonly #linears: ReadonlyMap<LinearPlan, Linear>;
  readonly #rowTargets: ReadonlyMap<string, RowTarget>;
  readonly #normOffsets: ReadonlyMap<string, number>;
  readonly #normBias: number;
  readonly #params: GPUBuffer;
  #staging: GPUBuffer | null = null;

  private constructor(
    device: GPUDevice,
    buffers: Buffers,
    repack: ComputePipeline<typeof repackRows.bindings>,
    linears: ReadonlyMap<LinearPlan, Linear>,
    plan: WeightPlan,
    config: ModelConfig,
  ) {
    this.#device = device;
    this.#buffers = buffers;
    this.#repack = repack;
    this.#linears = linears;
    this.#rowTargets = rowTargets(linears);
    this.#normOffsets = normOffsets(plan).offsets;
    this.#normBias = config.normWeight === "one-plus" ? 1 : 0;
    this.norms = buffers.storage("norms", normBytes(plan));
    this.#params = buffers.create("repack.params", 32, USAGE.UNIFORM | USAGE.COPY_DST);
  }

  /** Allocates all matrices. Rejects with `out_of_memory`. */
  static async allocate(
    device: GPUDevice,
    buffers: Buffers,
    pipelines: PipelineCache,
    config: ModelConfig,
    plan: WeightPlan,
    layout: WeightLayout,
    maxBindingBytes: number,
  ): Promise<ModelWeights> {
    const repack = await pipelines.get(repackRows, repackRowsVariant);
    const linears = new Map<LinearPlan, Linear>();
    for (const [linearPlan, linearLayout] of layout.linears) {
      linears.set(linearPlan, await allocateLinear(buffers, linearLayout, maxBindingBytes));
    }
    return new ModelWeights(device, buffers, repack, linears, plan, config);
  }

  linear(plan: LinearPlan): Linear {
    const linear = this.#linears.get(plan);
    assert(linear, `No weights for ${plan.name}`);
    return linear;
  }

  /** Offset of a norm's weights in `norms`, in elements. */
  normOffset(plan: NormPlan): number {
    const offset = this.#normOffsets.get(plan.tensor);
    assert(offset !== undefined, `No weights for ${plan.tensor}`);
    return offset;
  }

  /** Takes a piece of a checkpoint tensor; its bytes may be reused after the call. */
  upload(piece: WeightPiece, type: WeightType): void {
    const { name } = piece.tensor;
    const offset = this.#normOffsets.get(name);
    if (offset !== undefined) {
      const values = decodeFloats(piece.bytes, type).map((value) => value + this.#normBias);
      this.#device.queue.writeBuffer(this.norms, offset * 4, values);
      return;
    }
    const target = this.#rowTargets.get(name);
    assert(target, `Tensor ${name} is not part of the model`);
    this.#uploadRows(target, piece, type);
  }

  /** Releases what only loading needs. */
  finish(): void {
    if (this.#staging) this.#buffers.destroy(this.#staging);
    this.#staging = null;
    this.#buffers.destroy(this.#params);
  }

  #uploadRows({ linear, firstRow, rowStep }: RowTarget, piece: WeightPiece, type: WeightType): void {
    const widened = linear.type === type ? piece.bytes : new Uint8Array(decodeFloats(piece.bytes, type).buffer);
    const rowBytes = widened.byteLength / piece.numRows;
    const staging = this.#stage(widened);
    const pieceFirst = firstRow + piece.firstRow * rowStep;
    for (const slice of linear.slices) {
      // Rows of the piece that land in this slice: pieceFirst + r * rowStep in [slice.firstRow, sliceEnd).
      const begin = Math.max(0, Math.ceil((slice.firstRow - pieceFirst) / rowStep));
      const end = Math.min(piece.numRows, Math.ceil((slice.firstRow + slice.numRows - pieceFirst) / rowStep));
      if (begin >= end) continue;
      this.#copyRows(staging, slice, {
        sourceRow: begin,
        numRows: end - begin,
        rowBytes,
        rowWords: weightRowBytes(linear.type, linear.width) / 4,
        firstRow: pieceFirst + begin * rowStep - slice.firstRow,
        rowStep,
      });
    }
  }

  #stage(bytes: Uint8Array): GPUBuffer {
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
    return this.#staging;
  }

  #copyRows(staging: GPUBuffer, slice: LinearSlice, params: RepackParams): void {
    this.#device.queue.writeBuffer(this.#params, 0, packRepackParams(params));
    const bindGroup = this.#repack.bind("repack", {
      params: { buffer: this.#params },
      source: { buffer: staging },
      weights: { buffer: slice.buffer },
    });
    const commands = this.#device.createCommandEncoder({ label: "repack" });
    const pass = commands.beginComputePass({ label: "repack" });
    pass.setPipeline(this.#repack.pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...repackRowsGrid(params));
    pass.end();
    this.#device.queue.submit([commands.finish()]);
  }
}

async function allocateLinear(buffers: Buffers, layout: LinearLayout, maxBindingBytes: number): Promise<Linear> {
  const { plan, type, numRows, rowBytes } = layout;
  // An even number of rows, so that a slice never parts a gate from its up.
  const maxRows = Math.floor(maxBindingBytes / rowBytes / 2) * 2;
  const slices: LinearSlice[] = [];
  for (let firstRow = 0; firstRow < numRows; firstRow += maxRows) {
    const rows = Math.min(maxRows, numRows - firstRow);
    slices.push({ buffer: await buffers.large(plan.name, rows * rowBytes), firstRow, numRows: rows });
  }
  return { name: plan.name, width: plan.width, numRows, type, slices };
}

function rowTargets(linears: ReadonlyMap<LinearPlan, Linear>): Map<string, RowTarget> {
  const targets = new Map<string, RowTarget>();
  for (const [{ parts, order }, linear] of linears) {
    let firstRow = 0;
    parts.forEach((part, index) => {
      const interleaved = order === "interleave";
      targets.set(part.tensor, {
        linear,
        firstRow: interleaved ? index : firstRow,
        rowStep: interleaved ? parts.length : 1,
      });
      firstRow += part.numRows;
    });
  }
  return targets;
}

/** Bytes of the buffer that holds all norm weights. */
export function normBytes(plan: WeightPlan): number {
  return normOffsets(plan).length * 4;
}

function normOffsets(plan: WeightPlan): { offsets: Map<string, number>; length: number } {
  const offsets = new Map<string, number>();
  let length = 0;
  for (const norm of allNorms(plan)) {
    offsets.set(norm.tensor, length);
    length += roundUp(norm.width, 8);
  }
  return { offsets, length };
}
