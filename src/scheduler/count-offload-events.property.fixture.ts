import type { OffloadConnector } from "../offload/offload-connector";
import type { OffloadStats } from "../offload/offload-stats";
import type { OffloadEvents } from "./offload-events.property.fixture";
import type { Request } from "./request";
import type { Scheduler } from "./scheduler";
import type { SchedulerOutput } from "./scheduler-output";
import type { SchedulerStats } from "./scheduler-stats";

/** What can be seen of a run. */
export interface OffloadParts {
  readonly scheduler: Scheduler;
  readonly connector: OffloadConnector;
  readonly requests: readonly Request[];
  /** Requests for which a copy is under way. */
  readonly storing: ReadonlySet<string | null>;
  readonly numGroups: number;
}

/** Before a step is put together. */
interface Snapshot {
  readonly stats: OffloadStats;
  readonly scheduler: SchedulerStats;
  readonly numOnlyLeased: number;
  readonly loading: readonly Request[];
  readonly running: readonly Request[];
  readonly numRevocations: ReadonlyMap<Request, number>;
  readonly numWaiting: number;
}

export function snapshotOffload({ scheduler, connector, requests }: OffloadParts): Snapshot {
  return {
    stats: connector.stats,
    scheduler: scheduler.stats,
    numOnlyLeased: scheduler.numBlocksOnlyLeased,
    loading: requests.filter(({ status }) => status === "loading"),
    running: requests.filter(({ status }) => status === "running"),
    numRevocations: new Map(requests.map((request) => [request, request.numRevocations])),
    numWaiting: scheduler.numWaiting - scheduler.numDeferred,
  };
}

export function countOffloadEvents(
  events: OffloadEvents,
  { scheduler, connector, requests, storing, numGroups }: OffloadParts,
  before: Snapshot,
  output: SchedulerOutput | null,
): void {
  const { stats, loading, running, numRevocations } = before;
  const after = connector.stats;
  for (const reason of ["loading", "pending"] as const) {
    events.count(`a deferral: ${reason}`, after.numDeferrals[reason] - stats.numDeferrals[reason]);
  }
  events.count("a deferral ends by its deadline", after.numDeferralsTimedOut - stats.numDeferralsTimedOut);
  events.count("a load that is declined", after.numLoadsDeclined - stats.numLoadsDeclined);
  events.count("a cancelled store", after.numStoresCancelled - stats.numStoresCancelled);
  if (after.numStoresWithoutRoom > stats.numStoresWithoutRoom) events.count("a chunk is refused for want of room");
  if (after.host.numRefusedNoSlot > stats.host.numRefusedNoSlot) events.count("a chunk is refused for want of a slot");
  if (after.host.numRefusedUnseen > stats.host.numRefusedUnseen)
    events.count("a chunk is refused for want of sightings");
  if (after.host.numEvictions > stats.host.numEvictions) events.count("a chunk is evicted from the host tier");
  for (const [request, number] of numRevocations) {
    if (request.numRevocations > number) events.count("a revocation");
    if (request.numRevocations > number && number === 1) events.count("a second revocation of one request");
  }
  const numPreemptions = scheduler.stats.numPreemptions - before.scheduler.numPreemptions;
  const preempted = running.filter(({ status }) => status === "preempted");
  events.count(
    "a preemption with a store in flight",
    preempted.filter(({ requestId }) => storing.has(requestId)).length,
  );
  const hasMoreOnlyLeased = scheduler.numBlocksOnlyLeased > before.numOnlyLeased;
  if (hasMoreOnlyLeased && numPreemptions === 0) events.count("a lease outlives its window");
  if (before.numOnlyLeased > 0 && running.length === 0) events.count("a lease outlives its request");
  const resumed = loading.filter(({ status }) => status === "running");
  if (resumed.length > 0 && before.numWaiting > 0) events.count("a finished load runs ahead of a head that waits");
  if (!output) return;
  const { loads, stores } = output.transfers;
  if (output.numTokens === 0) events.count("a step that only copies");
  if (stores.some(({ jobId }) => connector.ownerOf(jobId) === null)) {
    events.count("a block is stored when it is evicted from the GPU");
  }
  for (const { jobId } of loads) {
    const request = requests.find(({ requestId }) => requestId === connector.ownerOf(jobId))!;
    const isFirst = !loading.includes(request) || request.numRevocations > numRevocations.get(request)!;
    events.count(isFirst ? "a load" : "a load in several parts");
    if (isFirst && request.numPreemptions > 0) events.count("a preempted request loads");
    if (isFirst && numGroups > 1) events.count("a load of blocks of several groups");
  }
  if (scheduler.stats.numExternalTokens > before.scheduler.numExternalTokens) {
    const isMixed = resumed.some(
      ({ numCachedTokens, numExternalTokens }) => numExternalTokens > 0 && numExternalTokens < (numCachedTokens ?? 0),
    );
    if (isMixed) events.count("a load behind a hit on the GPU");
  }
}
