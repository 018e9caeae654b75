import type { FloatType, QuantType, WeightType } from "../kernels/modules";
import { QUANT_BLOCK } from "../kernels/quant-block";
import type { TensorInfo } from "../loader/weight-map";
import { CairnError } from "../util/errors";
import { ceilDiv, roundUp } from "../util/math";
import { allLinears, allNorms, type LinearPlan, type NormPlan, type WeightPlan } from "./weight-plan";

const TYPES: Readonly<Record<string, FloatType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** How a planned matrix lies on the GPU: [numRows] rows of `rowBytes`, padding included. */
export interface LinearLayout {
  readonly plan: LinearPlan;
  /** One type for the whole: what it is quantized to, or that of its parts, or f32 where they differ. */
  readonly type: WeightType;
  readonly numRows: number;
  readonly rowBytes: number;
}

export interface WeightLayout {
  readonly linears: ReadonlyMap<LinearPlan, LinearLayout>;
  /** Null where matrices keep the checkpoint's types. */
  readonly quantization: QuantType | null;
  /** Tensors that the model reads. */
  readonly tensors: ReadonlySet<string>;
  readonly numParameters: number;
  /** Bytes of all matrices on the GPU. */
  readonly bytes: number;
}

/**
 * Checks every tensor that the plan names against the checkpoint's headers. With a quantization matrices are of that type, but
 * embedding and head always q8_0.
 * Errors: `tensor_missing`, `tensor_shape`, `unsupported_dtype`, each with the tensor's name.
 */
export function makeWeightLayout(
  plan: WeightPlan,
  tensors: ReadonlyMap<string, TensorInfo>,
  quantization: QuantType | null = null,
): WeightLayout {
  const names = new Set<string>();
  const check = (name: string, shape: readonly number[]): FloatType => {
    names.add(name);
    return checkTensor(tensors.get(name), name, shape);
  };
  for (const norm of allNorms(plan)) check(norm.tensor, [norm.width]);

  const linears = new Map<LinearPlan, LinearLayout>();
  for (const linear of allLinears(plan)) {
    const types = linear.parts.map((part) => check(part.tensor, [part.numRows, linear.width]));
    const ownType = types.every((other) => other === types[0]) ? types[0] : "f32";
    const isOuter = linear === plan.embedding || linear === plan.head;
    const type = quantization ? (isOuter ? "q8_0" : quantization) : ownType;
    const numRows = linear.parts.reduce((sum, part) => sum + part.numRows, 0);
    linears.set(linear, { plan: linear, type, numRows, rowBytes: weightRowBytes(type, linear.width) });
  }
  const matrices = [...linears.values()];
  const norms = allNorms(plan).reduce((sum: number, norm: NormPlan) => sum + norm.width, 0);
  return {
    linears,
    quantization,
    tensors: names,
    numParameters: matrices.reduce((sum, linear) => sum + linear.numRows * linear.plan.width, norms),
    bytes: matrices.reduce((sum, linear) => sum + linear.numRows * linear.rowBytes, 0),
  };
}

export function isQuantType(type: WeightType): type is QuantType {
  return type === "q8_0" || type === "q4_0";
}

/**
 * Bytes of a Linear's row: padded to units of eight elements, or, quantized, to blocks of 32; then the quants are followed by
 * the blocks' scales, each part padded to 16 bytes.
 */
export function weightRowBytes(type: WeightType, width: number): number {
  if (!isQuantType(type)) return roundUp(width, 8) * (type === "f32" ? 4 : 2);
  const numBlocks = ceilDiv(width, QUANT_BLOCK);
  return numBlocks * (type === "q8_0" ? 32 : 16) + roundUp(numBlocks * 2, 16);
}

function checkTensor(tensor: TensorInfo | undefined, name: string, shape: readonly number[]): FloatType {
  if (!tensor) throw new CairnError("tensor_missing", `The checkpoint has no tensor ${name}.`, { tensor: name });
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
    throw new CairnError(
      "tensor_shape",
      `Tensor ${name} has shape [${tensor.shape}], but config.json asks for [${shape}].`,
      { tensor: name, expected: shape, actual: tensor.shape },
    );
  }
  return tensorType(tensor);
}

/** Throws `unsupported_dtype`. */
export function tensorType({ name, dtype }: TensorInfo): FloatType {
  const type = TYPES[dtype];
  if (type) return type;
  throw new CairnError("unsupported_dtype", `Tensor ${name} is ${dtype}; F32, F16 and BF16 are supported.`, {
    tensor: name,
    dtype,
  });
}
