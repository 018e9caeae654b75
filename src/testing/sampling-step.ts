import { countTokens } from "../kernels/adjust-logits";
import { packSamplingRow, SAMPLING_ROW_WORDS } from "../kernels/sampling-row";
import type { TokenHistory } from "../sampling/adjust-logits";
import type { SamplingParams } from "../sampling/sampling-params";
import { roundUp } from "../util/math";
import { type KernelTestContext, NAN_WORD } from "./kernel-case";

/** One logit row of a step. */
export interface SampledRow {
  readonly logits: Float32Array;
  readonly params: SamplingParams;
  readonly position: number;
  /** Null: the row's counts are those of a request before, and must not be read. */
  readonly history: TokenHistory | null;
}

/**
 * The buffers that kernels behind the logits read. Logit row r has state row numRows - 1 - r, so that row and index cannot be
 * mixed up; everything that must not be read is NaN, and there is one logit row more than the step has.
 */
export function samplingStep(ctx: KernelTestContext, sampledRows: readonly SampledRow[]) {
  const numRows = sampledRows.length;
  const numLogits = sampledRows[0].logits.length;
  const stride = roundUp(numLogits, 4) + 4;
  const adjustedRow = numRows + 1;
  const firstLogitRow = 5;
  const logits = new Uint32Array(2 * adjustedRow * stride).fill(NAN_WORD);
  const step = new Uint32Array(4 * (firstLogitRow + numRows + 1)).fill(NAN_WORD);
  const rows = new Uint32Array(SAMPLING_ROW_WORDS * numRows);
  const tokenCounts = new Uint32Array(numLogits * numRows).fill(NAN_WORD);
  step.set([0, 0, 0, numRows, 0, 0, firstLogitRow, 0]);
  sampledRows.forEach((sampled, r) => {
    const row = numRows - 1 - r;
    logits.set(new Uint32Array(Float32Array.from(sampled.logits).buffer), r * stride);
    step.set([0, row, sampled.position, 0], 4 * (firstLogitRow + r));
    rows.set(packSamplingRow(sampled.params), SAMPLING_ROW_WORDS * row);
    if (!sampled.history) return;
    const { promptTokenIds, outputTokenIds } = sampled.history;
    tokenCounts.set(countTokens(numLogits, promptTokenIds, outputTokenIds), numLogits * row);
  });
  return {
    numLogits,
    stride,
    adjustedRow,
    logitWords: logits,
    step: ctx.upload("step", step),
    logits: ctx.upload("logits", logits),
    rows: ctx.upload("rows", rows),
    tokenCounts: ctx.upload("token_counts", tokenCounts),
  };
}
