import { ceilDiv } from "../util/math";
import { MAX_TURNS_HELD } from "./random-run.property.fixture";
import type { Request } from "./request";
import type { SchedulerOptions } from "./scheduler-options";

/**
 * The most steps that requests can take together, preemptions and all; `requests` are in order of arrival.
 *
 * Look at the first of those that run, by (priority, arrival). It is never preempted: victims come from the end, and
 * alone it has what it needs. Nobody ahead of it is preempted while it runs, so only a new arrival ahead of it can take
 * its place, once. Each step gives it a token at least, but for those in which
 *
 * - it has no token left to feed: fewer than M = maxInFlightSteps, until the last of its own is processed;
 * - it waits for blocks of leaving rows. Nobody is admitted meanwhile, so each of the R - 1 other rows leaves at most
 *   once, and holds blocks for fewer than M steps; and it waits at most once for each block of its own.
 *
 * - it is held: for each of its ids, fewer than M steps until it comes back, and some turns until it is released.
 *
 * So as first it sees at most `cost` steps: its fed tokens + (M - 1) * (1 + (R - 1) * its blocks). And there is a new
 * first only after one has ended, or when one arrives ahead of those that run, or comes back there: a constrained request that
 * was preempted and held. With one step in flight and no priorities
 * this is the plain sum of fed tokens: preemptions cost no step, because they happen in steps that others use.
 */
export function maxNumSteps(requests: readonly Request[], options: SchedulerOptions): number {
  const { maxModelLen, maxInFlightSteps, maxNumRunning, geometry } = options;
  const costs = requests.map((request) => {
    const numFedTokens = request.maxNumFedTokens(maxModelLen);
    const numWaits = 1 + (maxNumRunning - 1) * ceilDiv(numFedTokens, geometry.blockSize);
    const numHolds = request.isConstrained ? request.maxTokens : 0;
    return numFedTokens + (maxInFlightSteps - 1) * numWaits + (maxInFlightSteps + MAX_TURNS_HELD) * numHolds;
  });
  const numOvertaking = requests.filter((request, i) => overtakesOneOf(request, requests.slice(0, i))).length;
  const numReturns = requests.reduce(
    (sum, { isConstrained, numPreemptions }) => sum + (isConstrained ? numPreemptions : 0),
    0,
  );
  return costs.reduce((sum, cost) => sum + cost, 0) + (numOvertaking + numReturns) * Math.max(0, ...costs);
}

export function overtakesOneOf(request: Request, earlier: readonly Request[]): boolean {
  return earlier.some((other) => request.priority < other.priority);
}
