import type { PrefixHit } from "../kv/kv-cache-manager";
import { copyOn } from "./loading-pass";
import type { Request } from "./request";
import { foundOnGpu, type SchedulerState } from "./scheduler-state";
import type { StepPlan } from "./step-plan";

/** A request whose load was given up so often computes instead. */
const MAX_REVOCATIONS = 2;

/**
 * Lets requests begin in the order of the queue, with what the prefix cache has of them or, where another tier has
 * more, by loading it. One is admitted only if its known tokens fit beside what those that run or load need up to their next
 * output, and the watermark; free blocks that it hits do not count as free. A head that does not fit keeps the
 * others waiting, else small requests could pass it for ever; when nobody holds a block, it fits. One that is put off
 * stops nobody.
 */
export function admitWaiting(state: SchedulerState, plan: StepPlan): void {
  if (state.waiting.first === undefined || !hasFreeRow(state)) return;
  let numReserved = numReservedBlocks(state);
  for (let numAsked = 0; mayAsk(state, plan, numAsked); numAsked++) {
    const request = state.waiting.first;
    if (!request) return;
    state.stats.numRequestsVisited += 1;
    const hit = request.isHeld ? null : findPrefix(state, request);
    if (!hit) {
      state.waiting.defer(request);
      continue;
    }
    if (!fits(state, request, hit, numReserved)) {
      if (!request.isPrefetch) return;
      state.endPrefetch(request, foundOnGpu(state.kvCache.findPrefix(request).numTokens));
      continue;
    }
    admit(state, plan, request, hit);
    const numDone = Math.max(request.numComputedTokens, hit.numTokens);
    numReserved += state.numBlocksToNextOutput(request, numDone);
  }
}

/** A step that has something to do leaves a long line of requests, each of which may be put off, to the next ones. */
function mayAsk(state: SchedulerState, plan: StepPlan, numAsked: number): boolean {
  const { maxNumBatchedTokens, maxNumRunning } = state.options;
  const hasWork = plan.numBudgetTokens > 0 || state.inFlight.length > 0;
  return plan.numBudgetTokens < maxNumBatchedTokens && hasFreeRow(state) && (numAsked < 2 * maxNumRunning || !hasWork);
}

function loadAdmission(state: SchedulerState) {
  return state.options.loadAdmission ?? "reserved";
}

function hasFreeRow(state: SchedulerState): boolean {
  const { maxNumRunning } = state.options;
  if (loadAdmission(state) === "unbounded") return state.running.length < maxNumRunning && state.rows.numFree > 0;
  return state.rows.numFree > 0;
}

/** What is not for new requests: the watermark, and what those that run or load need up to their next output. */
function numReservedBlocks(state: SchedulerState): number {
  const { admissionWatermark } = state.options;
  let numReserved = Math.ceil(admissionWatermark * state.kvCache.numUsableBlocks);
  for (const request of state.running) {
    state.stats.numRequestsVisited += 1;
    numReserved += state.numBlocksToNextOutput(request, request.numComputedTokens);
  }
  if (loadAdmission(state) !== "reserved") return numReserved;
  for (const request of state.loading) {
    state.stats.numRequestsVisited += 1;
    numReserved += state.numBlocksToNextOutput(request, state.loads.get(request)!.numTokens);
  }
  return numReserved;
}

/** What GPU and tiers have together for a request at the head of the queue; null, if a connector puts it off. */
function findPrefix(state: SchedulerState, request: Request): PrefixHit | null {
  if (request.numRevocations >= MAX_REVOCATIONS) return state.kvCache.findPrefix(request);
  const answer = state.connectors.lookup(request);
  if (answer.kind === "deferred") return null;
  if (answer.kind === "none") return state.kvCache.findPrefix(request);
  return state.kvCache.prefixOf(request, answer.numBlocks);
}

function fits(state: SchedulerState, request: Request, hit: PrefixHit, numReserved: number): boolean {
  const isLoad = hit.numMissingBlocks > 0;
  const isBound = !isLoad || loadAdmission(state) === "reserved";
  const numToNextOutput = isBound ? state.numBlocksToNextOutput(request, hit.numTokens) : 0;
  const numNeeded = numToNextOutput + hit.numFreeBlocks + hit.numMissingBlocks;
  const isAlone = state.running.length + state.loading.length + state.rows.leaving.length === 0;
  if (isAlone) {
    while (numNeeded > state.kvCache.numFreeBlocks && state.connectors.cancelStore());
    return true;
  }
  const { numFreeBlocksAtRevocation } = request;
  if (isLoad && numFreeBlocksAtRevocation !== null && state.kvCache.numFreeBlocks <= numFreeBlocksAtRevocation) {
    return false;
  }
  return numNeeded + (isBound ? numReserved : 0) <= state.kvCache.numFreeBlocks;
}

function admit(state: SchedulerState, plan: StepPlan, request: Request, hit: PrefixHit): void {
  const isLoad = hit.numMissingBlocks > 0;
  if (request.isPrefetch && !isLoad) {
    state.endPrefetch(request, foundOnGpu(hit.numTokens));
    return;
  }
  state.waiting.remove(request);
  request.row = state.rows.take();
  const evicted = state.kvCache.nextEvicted(hit.numMissingBlocks);
  const entries = state.kvCache.admit(request.row, hit);
  const numStorageTokens = isLoad ? state.connectors.startLoad(request, entries) : 0;
  state.connectors.requestAdmitted(request);
  if (isLoad) {
    request.status = "loading";
    state.loading.add(request);
    const numExternalTokens = new Set(entries.map(({ index }) => index)).size * state.options.geometry.blockSize;
    state.loads.set(request, { numTokens: hit.numTokens, numExternalTokens, numStorageTokens, hasArrived: false });
    state.connectors.offerEvicted(evicted);
    copyOn(state, plan, request);
    return;
  }
  state.beginRunning(request, foundOnGpu(hit.numTokens));
  const tokenBudget = state.options.maxNumBatchedTokens - plan.numBudgetTokens;
  state.scheduleTokens(plan, request, Math.min(state.numUnscheduledTokens(request), tokenBudget, state.maxChunkTokens));
}
