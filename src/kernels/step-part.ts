/**
 * The rows of a step that a kernel serves. Single-token queries go through GEMV and prompt chunks through GEMM, whatever
 * else is in the step, so that a request's numbers do not depend on its neighbours.
 */
export type StepPart = "tokens" | "gemv-tokens" | "gemm-tokens" | "logit-rows";

/** The params member `part`; common/step.wgsl has the same numbers. */
export const stepPartIndex = (part: StepPart): number =>
  ({ tokens: 0, "gemv-tokens": 1, "gemm-tokens": 2, "logit-rows": 3 })[part];
