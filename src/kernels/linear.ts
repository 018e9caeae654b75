import { type ParamValues, u32 } from "../gpu/params";
import type { StepPart } from "./step-part";

/** What GEMV and GEMM share: where the input comes from, what is done with the sums, which step count they cover. */
export type Activation = "silu" | "gelu_tanh";

export type Epilogue =
  /** out = sum */
  | { readonly kind: "store" }
  /** out += sum */
  | { readonly kind: "add" }
  /** Rows are gate, up, gate, up ...; out[n / 2] = activation(gate) * up */
  | { readonly kind: "gate"; readonly activation: Activation };

/** The params `epilogue` and `activation`. */
export const epilogueValues = (epilogue: Epilogue): ParamValues => [
  u32({ store: 0, add: 1, gate: 2 }[epilogue.kind]),
  u32(epilogue.kind === "gate" && epilogue.activation === "gelu_tanh" ? 1 : 0),
];

export interface LinearOutput {
  readonly numRows: number;
  /** Elements from one token's output to the next. */
  readonly outStride: number;
  /** Column of the slice's row 0 in the output. */
  readonly outOffset: number;
  readonly part: StepPart;
  readonly epilogue: Epilogue;
}
