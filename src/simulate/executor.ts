import type { StepTransfers, TransferResult } from "../offload/transfer-job";
import type { ScheduledRequest, SchedulerOutput, StepResult } from "../scheduler/scheduler-output";
import { assert } from "../util/errors";
import { ceilDiv } from "../util/math";

/** What a step costs on the modelled GPU, in milliseconds. */
export interface StepCosts {
  /** Every step that computes. */
  readonly stepMs: number;
  /** Every token of a step. */
  readonly tokenMs: number;
  /** Every token of context that attention reads, see `numContextTokensRead`. */
  readonly contextTokenMs: number;
  /** From the end of a step until the CPU has its ids. */
  readonly readbackMs: number;
}

/** What copies between GPU and RAM cost, in milliseconds. */
export interface TransferCosts {
  /** Every MiB from RAM to blocks. */
  readonly copyInMsPerMiB: number;
  /** Every MiB from blocks to RAM. */
  readonly copyOutMsPerMiB: number;
  /** From the end of a copy out until its bytes are in RAM: the latency of a map. */
  readonly mapMs: number;
}

const MIB = 1 << 20;

/** Neighbouring tokens for which the prefill kernel reads the context once, at 4 query heads a kv head. */
const PREFILL_TILE_TOKENS = 8;

/** Tokens of context that attention reads for [start, start + numTokens): each tile reads all up to its own last token. */
export function numContextTokensRead(startPosition: number, numTokens: number): number {
  const numFullTiles = ceilDiv(numTokens, PREFILL_TILE_TOKENS) - 1;
  const inFullTiles = numFullTiles * startPosition + (PREFILL_TILE_TOKENS * numFullTiles * (numFullTiles + 1)) / 2;
  return inFullTiles + startPosition + numTokens;
}

/** What the step computes. One that only copies runs no layer, and costs nothing here. */
export function stepCostMs({ scheduled, numTokens }: SchedulerOutput, costs: StepCosts): number {
  if (numTokens === 0) return 0;
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

/** Milliseconds that a step's copies out of and into blocks of `pageBytes` take. */
export function transferCostMs({ stores, loads }: StepTransfers, costs: TransferCosts, pageBytes: number) {
  const sumMiB = (numBlocks: readonly number[]) => (numBlocks.reduce((sum, each) => sum + each, 0) * pageBytes) / MIB;
  return {
    storesMs: costs.copyOutMsPerMiB * sumMiB(stores.map(({ blockIds }) => blockIds.length)),
    loadsMs: costs.copyInMsPerMiB * sumMiB(loads.map(({ blocks }) => blocks.length)),
  };
}

interface LandingTransfer {
  readonly result: TransferResult;
  readonly resultMs: number;
}

/**
 * A GPU that takes the modelled time and computes nothing. Steps run one after the other in the order of submission:
 *
 *     submit           start                                       end            result
 *     |  queued behind  |  storesMs  |  loadsMs  |  stepCostMs      |  readbackMs  |
 *       earlier steps     the GPU is busy                             it may run the next step, if one was submitted
 *                                    |  mapMs  |
 *                                              the stores' results
 *
 * A load's result is there at once: what is submitted later reads what it wrote. Copies hold up the GPU for as long as
 * they take, also where they are a memcpy of the CPU; a real one may compute meanwhile.
 *
 * It has no clock: the caller says what time it is.
 */
export class ModelledExecutor {
  readonly #costs: StepCosts & TransferCosts;
  readonly #pageBytes: number;
  readonly #inFlight: { readonly output: SchedulerOutput; readonly resultMs: number }[] = [];
  /** In the order of their results, each. */
  readonly #stores: LandingTransfer[] = [];
  readonly #loads: LandingTransfer[] = [];
  #endOfLastMs = 0;
  #busyMs = 0;
  #copyMs = 0;

  /** `pageBytes`: of a block. */
  constructor(costs: StepCosts & TransferCosts, pageBytes: number) {
    this.#costs = costs;
    this.#pageBytes = pageBytes;
  }

  /** When the oldest step's ids are there; Infinity when nothing is in flight. */
  get nextResultMs(): number {
    return this.#inFlight[0]?.resultMs ?? Number.POSITIVE_INFINITY;
  }

  /** When the next copy's result is there; Infinity when none is under way. */
  get nextTransferMs(): number {
    const [[store], [load]] = [this.#stores, this.#loads];
    return Math.min(store?.resultMs ?? Number.POSITIVE_INFINITY, load?.resultMs ?? Number.POSITIVE_INFINITY);
  }

  /** Time in which a step ran or copied, of all steps submitted so far. */
  get busyMs(): number {
    return this.#busyMs;
  }

  /** The part of `busyMs` that is copies. */
  get copyMs(): number {
    return this.#copyMs;
  }

  submit(output: SchedulerOutput, nowMs: number): void {
    const { stores, loads } = output.transfers;
    const { storesMs, loadsMs } = transferCostMs(output.transfers, this.#costs, this.#pageBytes);
    const costMs = storesMs + loadsMs + stepCostMs(output, this.#costs);
    const startMs = Math.max(nowMs, this.#endOfLastMs);
    const storedMs = startMs + storesMs + this.#costs.mapMs;
    for (const { jobId, epoch, blockIds } of stores) {
      this.#stores.push({ result: { jobId, epoch, numBlocks: blockIds.length }, resultMs: storedMs });
    }
    for (const { jobId, epoch, blocks } of loads) {
      this.#loads.push({ result: { jobId, epoch, numBlocks: blocks.length }, resultMs: nowMs });
    }
    this.#endOfLastMs = startMs + costMs;
    this.#busyMs += costMs;
    this.#copyMs += storesMs + loadsMs;
    this.#inFlight.push({ output, resultMs: this.#endOfLastMs + this.#costs.readbackMs });
  }

  /** Takes out the oldest step; it is an error to come before its result. */
  takeFinished(nowMs: number): SchedulerOutput {
    assert(this.nextResultMs <= nowMs, () => `no step has its result at ${nowMs} ms`);
    return this.#inFlight.shift()!.output;
  }

  /** Takes out the copies whose result is there. */
  takeTransfers(nowMs: number): TransferResult[] {
    return [this.#stores, this.#loads].flatMap((landing) => {
      const firstLater = landing.findIndex(({ resultMs }) => resultMs > nowMs);
      return landing.splice(0, firstLater < 0 ? landing.length : firstLater).map(({ result }) => result);
    });
  }
}
