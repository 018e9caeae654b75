import { makeRoom } from "./make-room";
import type { Request } from "./request";
import type { SchedulerState } from "./scheduler-state";
import type { StepPlan } from "./step-plan";

/**
 * Loads that have arrived run, whoever waits at the head of the queue; the others copy on, as far as the token budget and
 * the step's bytes go.
 */
export function scheduleLoading(state: SchedulerState, plan: StepPlan, hasBlocks: boolean): void {
  for (const request of [...state.loading]) {
    if (request.status !== "loading") continue; // Revoked by one before it.
    state.stats.numRequestsVisited += 1;
    if (!state.loads.get(request)!.hasArrived) copyOn(state, plan, request);
    else if (hasBlocks) resume(state, plan, request);
  }
}

export function copyOn(state: SchedulerState, plan: StepPlan, request: Request): void {
  const tokenBudget = state.options.maxNumBatchedTokens - plan.numBudgetTokens;
  if (tokenBudget <= 0) return;
  const planned = state.connectors.planLoad(request, tokenBudget);
  if (planned) plan.addLoad(planned.numTokens);
}

function resume(state: SchedulerState, plan: StepPlan, request: Request): void {
  const load = state.loads.get(request)!;
  const { numTokens: numLoaded } = load;
  const tokenBudget = state.options.maxNumBatchedTokens - plan.numBudgetTokens;
  const numTokens = Math.min(request.numTokens - numLoaded, tokenBudget, state.maxChunkTokens);
  if (numTokens <= 0 || state.running.length === state.options.maxNumRunning) return;
  if (!makeRoom(state, request, numLoaded + numTokens, () => giveWay(state, request))) return;
  state.loading.remove(request);
  state.loads.delete(request);
  state.connectors.endLoad(request);
  state.beginRunning(request, load);
  state.scheduleTokens(plan, request, numTokens);
}

/** Nobody but newer loads makes room for one that has arrived. */
function giveWay(state: SchedulerState, request: Request): boolean {
  const load = state.loading.last!;
  if (load === request) return false;
  state.revoke(load);
  return true;
}
