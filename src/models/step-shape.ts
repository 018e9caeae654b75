import type { Encoder } from "../gpu/encoder";

/** What decides a step's grids; the rest of the step is read on the GPU from the step buffer. */
export interface StepShape {
  readonly numTokens: number;
  readonly numLogitRows: number;
  readonly numDecodeTokens: number;
  readonly numPrefillTiles: number;
  /** Highest position among the decode tokens; 0 where there are none. */
  readonly maxDecodePosition: number;
}

/** Encodes a part of the forward pass. Pipelines, bind groups and params were made when the model was built. */
export type Op = (encoder: Encoder, step: StepShape) => void;
