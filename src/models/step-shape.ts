import type { Encoder } from "../gpu/encoder";
import type { StepPart } from "../kernels/step-part";

/** What decides a step's grids; the rest of the step is read on the GPU from the step buffer. */
export interface StepShape {
  readonly numTokens: number;
  readonly numLogitRows: number;
  readonly numDecodeTokens: number;
  /** Tokens at the start of the step that go through GEMV: the single-token queries, where they are few enough. */
  readonly numGemvTokens: number;
  readonly numPrefillTiles: number;
  /** Highest position among the decode tokens; 0 where there are none. */
  readonly maxDecodePosition: number;
}

/** Rows of the step in a part. */
export function numRowsOf(part: StepPart, step: StepShape): number {
  switch (part) {
    case "tokens":
      return step.numTokens;
    case "gemv-tokens":
      return step.numGemvTokens;
    case "gemm-tokens":
      return step.numTokens - step.numGemvTokens;
    case "logit-rows":
      return step.numLogitRows;
  }
}

/** Encodes a part of the forward pass. Pipelines, bind groups and params were made when the model was built. */
export type Op = (encoder: Encoder, step: StepShape) => void;
