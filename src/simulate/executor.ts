import type { ScheduledRequest, SchedulerOutput, StepResult } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";
import { ceilDiv } from "../util/math";

/** What a step costs on the modelled GPU, in milliseconds. */
export interface StepCosts {
  /** Every step. */
  readonly stepMs: number;
  /** Every token of a step. */
  readonly tokenMs: number;
  /** Every token of context that attention reads, see `numContextTokensRead`. */
  readonly contextTokenMs: number;
  /** From the end of a step until the CPU has its ids. */
  readonly readbackMs: number;
}

/** Neighbouring tokens for which the prefill kernel reads the context once, at 4 query heads a kv head. */
const PREFILL_TILE_TOKENS = 8;

/** Tokens of context that attention reads for [start, start + numTokens): each tile reads all up to its own last token. */
export function numContextTokensRead(startPosition: number, numTokens: number): number {
  const numFullTiles = ceilDiv(numTokens, PREFILL_TILE_TOKENS) - 1;
  const inFullTiles = numFullTiles * startPosition + (PREFILL_TILE_TOKENS * numFullTiles * (numFullTiles + 1)) / 2;
  return inFullTiles + startPosition + numTokens;
}

export function stepCostMs({ scheduled, numTokens }: SchedulerOutput, costs: StepCosts): number {
  let numRead = 0;
  for (const entry of scheduled) numRead += numContextTokensRead(entry.startPosition, entry.numTokens);
  return costs.stepMs + costs.tokenMs * numTokens + costs.contextTokenMs * numRead;
}

/** What comes back of a step in which every row that samples samples its own id. */
export function makeStepResult(
  { stepIndex, scheduled }: SchedulerOutput,
  sampleTokenId: (requestId: string) => number,
): StepResult {
  const sampling = scheduled.filter((entry: ScheduledRequest) => entry.samples);
  const sampled = sampling.map(({ requestId }) => ({ requestId, tokenId: sampleTokenId(requestId), finite: true }));
  return { stepIndex, sampled };
}

/**
 * A GPU that takes the modelled time and computes nothing. Steps run one after the other in the order of submission:
 *
 *     submit           start                end           result
 *     |  queued behind  |  stepCostMs         |  readbackMs  |
 *       earlier steps     the GPU is busy       it may run the next step, if one was submitted
 *
 * It has no clock: the caller says what time it is.
 */
export class ModelledExecutor {
  readonly #costs: StepCosts;
  readonly #inFlight: { readonly output: SchedulerOutput; readonly resultMs: number }[] = [];
  #endOfLastMs = 0;
  #busyMs = 0;

  constructor(costs: StepCosts) {
    this.#costs = costs;
  }

  /** When the oldest step's ids are there; Infinity when nothing is in flight. */
  get nextResultMs(): number {
    return this.#inFlight[0]?.resultMs ?? Number.POSITIVE_INFINITY;
  }

  /** Time in which a step ran, of all steps submitted so far. */
  get busyMs(): number {
    return this.#busyMs;
  }

  submit(output: SchedulerOutput, nowMs: number): void {
    const costMs = stepCostMs(output, this.#costs);
    this.#endOfLastMs = Math.max(nowMs, this.#endOfLastMs) + costMs;
    this.#busyMs += costMs;
    this.#inFlight.push({ output, resultMs: this.#endOfLastMs + this.#costs.readbackMs });
  }

  /** Takes out the oldest step; it is an error to come before its result. */
  takeFinished(nowMs: number): SchedulerOutput {
    assert(this.nextResultMs <= nowMs, () => `no step has its result at ${nowMs} ms`);
    return this.#inFlight.shift()!.output;
  }
}
