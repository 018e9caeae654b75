import type { NewBlocks } from "../kv/kv-cache-manager";
import type { StepTransfers } from "../offload/transfer-job";
import { hasPenalties } from "../sampling/sampling-params";
import type { Request } from "./request";
import type { NewRow, ScheduledRequest, SchedulerOutput } from "./scheduler-output";

/** A step that was scheduled and not processed, with the requests of its entries. */
export interface InFlightStep {
  readonly output: SchedulerOutput;
  readonly requests: readonly Request[];
}

/** A step as it is put together. */
export class StepPlan {
  readonly #stepIndex: number;
  readonly #scheduled: ScheduledRequest[] = [];
  readonly #requests: Request[] = [];
  readonly #newRows: NewRow[] = [];
  #numTokens = 0;
  #numLoadedTokens = 0;

  constructor(stepIndex: number) {
    this.#stepIndex = stepIndex;
  }

  /** Tokens that the step computes. */
  get numTokens(): number {
    return this.#numTokens;
  }

  /** What it takes of the token budget: a load counts like a prefill chunk. */
  get numBudgetTokens(): number {
    return this.#numTokens + this.#numLoadedTokens;
  }

  addLoad(numTokens: number): void {
    this.#numLoadedTokens += numTokens;
  }

  addRow(request: Request): void {
    const { requestId, sampling, promptTokenIds, outputTokenIds } = request;
    const history = hasPenalties(sampling) ? { promptTokenIds, outputTokenIds: [...outputTokenIds] } : null;
    this.#newRows.push({ requestId, row: request.row!, sampling, history });
  }

  /** The next `numTokens` tokens of a request that got its blocks; counts them as computed. */
  add(request: Request, numTokens: number, newBlocks: readonly NewBlocks[]): void {
    const { requestId, numComputedTokens: startPosition } = request;
    const isKnown = startPosition < request.numTokens;
    const samples = request.advance(numTokens, this.#stepIndex);
    this.#numTokens += numTokens;
    this.#requests.push(request);
    this.#scheduled.push({
      requestId,
      row: request.row!,
      startPosition,
      numTokens,
      tokens: isKnown
        ? { kind: "ids", ids: request.tokenIds(startPosition, startPosition + numTokens) }
        : { kind: "last-sampled" },
      blockTableUpdates: newBlocks,
      samples,
    });
  }

  /** Null where nothing was added, and nothing is copied. */
  finish(transfers: StepTransfers): InFlightStep | null {
    const isEmpty = this.#scheduled.length + transfers.stores.length + transfers.loads.length === 0;
    if (isEmpty) return null;
    const output: SchedulerOutput = {
      stepIndex: this.#stepIndex,
      newRows: this.#newRows,
      scheduled: this.#scheduled,
      numTokens: this.#numTokens,
      transfers,
    };
    return { output, requests: this.#requests };
  }
}
