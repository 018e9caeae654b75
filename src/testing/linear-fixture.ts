import type { Activation, Epilogue, LinearOutput } from "../kernels/linear";
import type { WeightType } from "../kernels/modules";
import { geluTanh, silu } from "../kernels/reference/activation";
import { linear } from "../kernels/reference/linear";
import { assertClose, assertUntouched } from "./kernel-asserts";
import type { KernelTestContext } from "./kernel-case";
import { packWeights } from "./matrices";
import { Random } from "./random";
import { type TestRequest, testStep, uploadStep } from "./test-step";

/** A matmul as GEMV and GEMM know it. */
export interface LinearShape {
  readonly width: number;
  readonly numRows: number;
  /** Input rows: those of the part. */
  readonly numTokens: number;
  readonly weightType: WeightType;
  readonly epilogue: Epilogue;
  readonly part: "tokens" | "gemv-tokens" | "logit-rows";
  /** First row of each slice. */
  readonly sliceStarts: readonly number[];
}

export interface LinearData {
  /** What the weights multiply [tokens, width]: the input, normed where the kernel norms it. */
  readonly inputs: ArrayLike<number>;
  /** [rows, width] */
  readonly weights: Float32Array<ArrayBuffer>;
}

export const DEFAULT_SHAPE: LinearShape = {
  width: 172,
  numRows: 47,
  numTokens: 1,
  weightType: "f32",
  epilogue: { kind: "store" },
  part: "tokens",
  sliceStarts: [0],
};

export const SILU = { kind: "gate", activation: "silu" } as const;
export const GELU = { kind: "gate", activation: "gelu_tanh" } as const;

/** Columns before the output's first one, and after its last one, that belong to somebody else. */
const MARGIN = 3;

export interface LinearSlice {
  readonly weights: GPUBuffer;
  readonly output: LinearOutput;
}

/** The buffers of a check; the kernel's own bindings come on top. */
export interface LinearBuffers {
  readonly step: GPUBuffer;
  readonly out: GPUBuffer;
  readonly slices: readonly LinearSlice[];
}

/**
 * Lets `dispatch` compute the matmul, then compares all of the output with the reference and everything around it with
 * what it was.
 */
export async function checkLinear(
  ctx: KernelTestContext,
  shape: LinearShape,
  data: LinearData,
  dispatch: (buffers: LinearBuffers) => Promise<void>,
): Promise<void> {
  const { numRows, numTokens, epilogue, width, weightType } = shape;
  const rowsPerOutput = epilogue.kind === "gate" ? 2 : 1;
  const numColumns = numRows / rowsPerOutput;
  const outStride = numColumns + 2 * MARGIN;
  const isOutput = (i: number) => {
    const column = i % outStride;
    return i < numTokens * outStride && column >= MARGIN && column < MARGIN + numColumns;
  };
  const initial = new Random(numColumns).normalArray(numTokens * numColumns);
  const out = ctx.empty("out", (numTokens + 1) * outStride * 4);
  if (epilogue.kind === "add") {
    for (let t = 0; t < numTokens; t++) {
      const row = initial.subarray(t * numColumns, (t + 1) * numColumns);
      ctx.gpu.device.queue.writeBuffer(out, (t * outStride + MARGIN) * 4, row);
    }
  }
  const slices = shape.sliceStarts.map((first, i) => {
    const end = shape.sliceStarts[i + 1] ?? numRows;
    const weights = packWeights(weightType, data.weights.subarray(first * width, end * width), width);
    const outOffset = MARGIN + first / rowsPerOutput;
    return {
      weights: ctx.upload("weights", weights),
      output: { numRows: end - first, outStride, outOffset, part: shape.part, epilogue },
    };
  });
  await dispatch({ step: uploadStep(ctx, testStep(stepRequests(shape))), out, slices });

  const words = await ctx.readU32(out);
  const values = new Float32Array(words.buffer);
  assertUntouched("out", words, isOutput);
  assertClose(
    "out",
    values.filter((_, i) => isOutput(i)),
    expectedOutput(shape, data, initial),
    numColumns,
  );
}

/** A batch whose part has numTokens rows; other parts have more. */
function stepRequests({ part, numTokens }: LinearShape): readonly TestRequest[] {
  if (part === "tokens") return [{ numTokens }];
  if (part === "gemv-tokens") {
    const queries = Array.from({ length: numTokens }, () => ({ numTokens: 1 }));
    return [queries[0], { numTokens: 3 }, ...queries.slice(1)];
  }
  return Array.from({ length: numTokens }, (_, row) => ({ numTokens: 2, row, samples: true }));
}

function expectedOutput(shape: LinearShape, { inputs, weights }: LinearData, initial: Float32Array): Float64Array {
  const { width, numRows, numTokens, epilogue } = shape;
  const all: number[] = [];
  const input = Float64Array.from(inputs);
  for (let t = 0; t < numTokens; t++) {
    const sums = linear(input.subarray(t * width, (t + 1) * width), weights, numRows, width);
    if (epilogue.kind === "gate") {
      for (let row = 0; row < numRows; row += 2) all.push(gate(epilogue.activation, sums[row]) * sums[row + 1]);
    } else {
      for (const sum of sums) all.push(sum);
    }
  }
  return Float64Array.from(all, (value, i) => (epilogue.kind === "add" ? value + initial[i] : value));
}

const gate = (activation: Activation, value: number) => (activation === "silu" ? silu(value) : geluTanh(value));
