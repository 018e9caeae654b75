import type { Buffers } from "../gpu/buffers";
import type { PipelineCache } from "../gpu/pipeline-cache";
import type { WgslModule } from "../gpu/wgsl";
import { type FloatType, floatWeightModules, type WeightType } from "../kernels/modules";
import type { WeightPiece } from "../loader/weight-map";
import { assert } from "../util/errors";
import { decodeFloats } from "../util/float-bits";
import { roundUp } from "../util/math";
import type { ModelConfig } from "./config";
import type { Quantization } from "./quantization";
import { RowWriter } from "./row-writer";
import { isQuantType, type LinearLayout, type WeightLayout } from "./weight-layout";
import { allNorms, type LinearPlan, type NormPlan, type WeightPlan } from "./weight-plan";

/** Rows [firstRow, firstRow + numRows) of a matrix, in a buffer of their own that fits one binding. */
export interface LinearSlice {
  readonly buffer: GPUBuffer;
  readonly firstRow: number;
  readonly numRows: number;
}

/** A matrix [numRows, width] on the GPU; how its rows lie is said in docs/architecture.md. */
export interface Linear {
  readonly name: string;
  readonly width: number;
  readonly numRows: number;
  readonly type: WeightType;
  /** What reads its rows in a shader. */
  readonly weightModules: readonly WgslModule[];
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
  readonly #writer: RowWriter;
  readonly #linears: ReadonlyMap<LinearPlan, Linear>;
  readonly #rowTargets: ReadonlyMap<string, RowTarget>;
  readonly #normOffsets: ReadonlyMap<string, number>;
  readonly #normBias: number;

  private constructor(
    device: GPUDevice,
    buffers: Buffers,
    writer: RowWriter,
    linears: ReadonlyMap<LinearPlan, Linear>,
    plan: WeightPlan,
    config: ModelConfig,
  ) {
    this.#device = device;
    this.#writer = writer;
    this.#linears = linears;
    this.#rowTargets = rowTargets(linears);
    this.#normOffsets = normOffsets(plan).offsets;
    this.#normBias = config.normWeight === "one-plus" ? 1 : 0;
    this.norms = buffers.storage("norms", normBytes(plan));
  }

  /** Allocates all matrices. `quantization`: needed where one of them is quantized. Rejects with `out_of_memory`. */
  static async allocate(
    device: GPUDevice,
    buffers: Buffers,
    pipelines: PipelineCache,
    config: ModelConfig,
    plan: WeightPlan,
    layout: WeightLayout,
    quantization: Quantization | null,
    maxBindingBytes: number,
  ): Promise<ModelWeights> {
    const writer = await RowWriter.create(device, buffers, pipelines, quantization);
    const weightModules = { ...floatWeightModules, ...quantization?.weightModules };
    const linears = new Map<LinearPlan, Linear>();
    for (const [linearPlan, linearLayout] of layout.linears) {
      linears.set(linearPlan, await allocateLinear(buffers, linearLayout, weightModules, maxBindingBytes));
    }
    return new ModelWeights(device, buffers, writer, linears, plan, config);
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
  upload(piece: WeightPiece, type: FloatType): void {
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
    this.#writer.finish();
  }

  #uploadRows({ linear, firstRow, rowStep }: RowTarget, piece: WeightPiece, type: FloatType): void {
    const isWidened = linear.type !== type && !isQuantType(linear.type);
    this.#writer.stage(isWidened ? new Uint8Array(decodeFloats(piece.bytes, type).buffer) : piece.bytes);
    const pieceFirst = firstRow + piece.firstRow * rowStep;
    for (const slice of linear.slices) {
      // Rows of the piece that land in this slice: pieceFirst + r * rowStep in [slice.firstRow, sliceEnd).
      const begin = Math.max(0, Math.ceil((slice.firstRow - pieceFirst) / rowStep));
      const end = Math.min(piece.numRows, Math.ceil((slice.firstRow + slice.numRows - pieceFirst) / rowStep));
      if (begin >= end) continue;
      const sourceType = isWidened ? "f32" : type;
      this.#writer.write(slice.buffer, linear.type, sourceType, linear.width, {
        sourceRow: begin,
        numRows: end - begin,
        firstRow: pieceFirst + begin * rowStep - slice.firstRow,
        rowStep,
      });
    }
  }
}

async function allocateLinear(
  buffers: Buffers,
  { plan, type, numRows, rowBytes }: LinearLayout,
  modules: Partial<Record<WeightType, readonly WgslModule[]>>,
  maxBindingBytes: number,
): Promise<Linear> {
  const weightModules = modules[type];
  assert(weightModules, `nothing reads ${type}`);
  // An even number of rows, so that a slice never parts a gate from its up.
  const maxRows = Math.floor(maxBindingBytes / rowBytes / 2) * 2;
  const slices: LinearSlice[] = [];
  for (let firstRow = 0; firstRow < numRows; firstRow += maxRows) {
    const rows = Math.min(maxRows, numRows - firstRow);
    slices.push({ buffer: await buffers.large(plan.name, rows * rowBytes), firstRow, numRows: rows });
  }
  return { name: plan.name, width: plan.width, numRows, type, weightModules, slices };
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
