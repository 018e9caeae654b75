import type { Request } from "./request";
import type { SchedulerState } from "./scheduler-state";

/**
 * Frees blocks until a request has those for its next `numTokens` tokens: at the cost of stores that wait, then of whomever
 * `giveWay` ends for it, one after the other. False if nobody is left to give way, or if blocks that leaving rows hold
 * are enough: these are worth waiting for.
 */
export function makeRoom(state: SchedulerState, request: Request, numTokens: number, giveWay: () => boolean): boolean {
  for (;;) {
    const numMissing = state.kvCache.numNewBlocks(request, numTokens) - state.kvCache.numFreeBlocks;
    if (numMissing <= 0) return true;
    if (numMissing <= state.kvCache.numBlocksHeldByOnly(state.rows.leaving)) return false;
    if (!state.connectors.cancelStore() && !giveWay()) return false;
  }
}
