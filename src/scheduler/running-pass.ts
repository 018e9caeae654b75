import { makeRoom } from "./make-room";
import type { Request } from "./request";
import type { SchedulerState } from "./scheduler-state";
import type { StepPlan } from "./step-plan";

/**
 * Every running request gets its next tokens; false if blocks were short: one goes without, or others made room. A token
 * is set aside for each that has one left (a decode), prefills share the rest of the budget. Blocks go by the order of
 * the queue, and are taken from its end: so who is preempted was not yet scheduled in this step.
 */
export function scheduleRunning(state: SchedulerState, plan: StepPlan): boolean {
  const { maxNumBatchedTokens } = state.options;
  let numSetAside = 0;
  for (const request of state.running) {
    if (state.numUnscheduledTokens(request) === 1) numSetAside += 1;
    state.kvCache.freeOutOfWindow(request);
  }
  const { numPreemptions, numRevocations } = state.stats;
  let isShort = false;
  for (let i = 0; i < state.running.length; i++) {
    const request = state.running.at(i);
    state.stats.numRequestsVisited += 1;
    const numUnscheduled = state.numUnscheduledTokens(request);
    if (numUnscheduled === 1) numSetAside -= 1;
    const tokenBudget = maxNumBatchedTokens - plan.numTokens - numSetAside;
    const numTokens = Math.min(numUnscheduled, tokenBudget, state.maxChunkTokens);
    if (numTokens === 0) continue;
    const needsBlocks = state.kvCache.numNewBlocks(request, numTokens) > 0;
    if (needsBlocks && (isShort || !makeRoom(state, request, numTokens, () => giveWay(state, request)))) {
      isShort = true; // What is free is left to the first that went without.
      continue;
    }
    state.scheduleTokens(plan, request, numTokens);
  }
  const hasMadeRoom = state.stats.numPreemptions > numPreemptions || state.stats.numRevocations > numRevocations;
  return !isShort && !hasMadeRoom;
}

/**
 * The newest load, or where there is none the last that runs, makes room for a running request; false if that was itself.
 * Alone it always has room: `addRequest` made sure of it.
 */
function giveWay(state: SchedulerState, request: Request): boolean {
  const load = state.loading.last;
  if (load) {
    state.revoke(load);
    return true;
  }
  const victim = state.running.last!;
  state.preempt(victim);
  return victim !== request;
}
