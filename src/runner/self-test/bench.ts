import type { LayerContext } from "../../models/build-context";
import type { Op, StepShape } from "../../models/step-shape";
import type { LinearPlan, WeightPlan } from "../../models/weight-plan";
import type { Linear } from "../../models/weights";
import { roundUp } from "../../util/math";
import type { Vector } from "./reference";
import type { Noise } from "./test-data";

/** Something that a kernel computes, and what its output must begin with; where that is NaN, anything goes. */
export interface Check {
  readonly kernel: string;
  readonly op: Op;
  readonly shape: StepShape;
  readonly output: GPUBuffer;
  readonly expected: Vector;
}

/** A step as the kernels see it. */
export interface TestStep {
  readonly context: LayerContext;
  readonly shape: StepShape;
}

/** What kernels are made for by the model's matrices. */
export interface Matrices {
  linear(plan: LinearPlan): Pick<Linear, "type" | "weightModules">;
}

/** What checks are made from: the model's sizes and types, with a small batch and buffers of its own. */
export interface Bench {
  readonly plan: WeightPlan;
  readonly matrices: Matrices;
  readonly noise: Noise;
  /** The weights of every norm, at offset 0. */
  readonly norms: Vector;
  /** One request from position 0 on, which samples. */
  readonly prefill: TestStep;
  /** A row for each of DECODE_POSITIONS, which samples, and a CHUNK; all of them see the KV that `prefill` wrote. */
  readonly mixed: TestStep;
}

export const NUM_POSITIONS = 70;
/** Around the ends of blocks and of a split. */
export const DECODE_POSITIONS = [69, 5, 15, 31, 64];
export const CHUNK = { firstPosition: 3, numTokens: 18 };
export const WINDOW = 9;

/** Rows as they lie on the GPU, padded to units of eight. */
export function padRows(rows: readonly Vector[]): number[] {
  return rows.flatMap((row) => [
    ...Array.from(row),
    ...Array<number>(roundUp(row.length, 8) - row.length).fill(Number.NaN),
  ]);
}
