import type { CachedChunk } from "../kv/block";
import type { BlockEntry, KvCacheManager } from "../kv/kv-cache-manager";
import type {
  Connector,
  LeaseRequests,
  LoadProgress,
  LookupAnswer,
  LowerTier,
  StoreMoment,
} from "../offload/connector";
import type { LoadJob, StepTransfers, TransferResult } from "../offload/transfer-job";
import { assert } from "../util/errors";
import { mergeLeaseRequests, mergeTransfers } from "./merge-connectors";
import type { Request } from "./request";

/**
 * All connectors of a scheduler as one. What they ask for is merged and done at once: leases are taken before whatever
 * comes next gives blocks back, and given up when the copy goes with the step.
 */
export class ConnectorSet {
  readonly #connectors: readonly Connector[];
  readonly #kvCache: () => KvCacheManager;
  /** Whose answer a request that loads has followed. */
  readonly #loaders = new Map<string, Connector>();

  constructor(connectors: readonly Connector[], kvCache: () => KvCacheManager) {
    this.#connectors = connectors;
    this.#kvCache = kvCache;
  }

  get hasWork(): boolean {
    return this.#connectors.some(({ hasWork }) => hasWork);
  }

  get nextDeadlineMs(): number {
    return Math.min(...this.#connectors.map(({ nextDeadlineMs }) => nextDeadlineMs));
  }

  requestAdded(request: Request): void {
    for (const connector of this.#connectors) connector.requestAdded(request);
  }

  requestAdmitted(request: Request): void {
    for (const connector of this.#connectors) connector.requestAdmitted(request);
  }

  takeWoken(): readonly string[] {
    return this.#connectors.flatMap((connector) => connector.takeWoken());
  }

  beginStep(): void {
    for (const connector of this.#connectors) connector.beginStep();
    this.#settleLeases();
  }

  /** The first connector that has something, or waits for it, answers for all. */
  lookup(request: Request): LookupAnswer {
    const isCached = (group: number, index: number) => this.#kvCache().isCached(request, group, index);
    for (const connector of this.#connectors) {
      const answer = connector.lookup(request, isCached);
      if (answer.kind === "none") continue;
      if (answer.kind === "load") this.#loaders.set(request.requestId, connector);
      return answer;
    }
    return { kind: "none" };
  }

  /** Follows a "load" answer. Returns the positions for which something was brought out of storage. */
  startLoad(request: Request, entries: readonly BlockEntry[]): number {
    return this.#loaders.get(request.requestId)!.startLoad(request, entries);
  }

  planLoad({ requestId }: Request, maxTokens: number): { readonly job: LoadJob; readonly numTokens: number } | null {
    return this.#loaders.get(requestId)!.planLoad(requestId, maxTokens);
  }

  endLoad({ requestId }: Request): void {
    this.#loaders.get(requestId)?.endLoad(requestId);
    this.#loaders.delete(requestId);
  }

  /** Leases that come of it are taken when this returns: the request may lose its blocks. */
  offer(moment: StoreMoment, request: Request): void {
    const blockAt = (group: number, index: number) => this.#kvCache().blockAt(request, group, index);
    for (const connector of this.#connectors) connector.offer(moment, request, blockAt);
    this.#settleLeases();
  }

  offerEvicted(chunks: readonly CachedChunk[]): void {
    if (chunks.length === 0) return;
    const evicted = chunks.map(({ blocks, ...chunk }) => ({
      ...chunk,
      blockIds: blocks.map(({ blockId }) => blockId),
    }));
    for (const connector of this.#connectors) connector.offerEvicted(evicted);
    this.#settleLeases();
  }

  /** Gives up a store that waits, if blocks come free with it, or with it and others like it; false where there is none. */
  cancelStore(): boolean {
    const isWorthIt = (blockIds: readonly number[]) => this.#kvCache().leases.areOnlyHolders(blockIds);
    const isCancelled = this.#connectors.some((connector) => connector.cancelStore(isWorthIt));
    this.#settleLeases();
    return isCancelled;
  }

  takeTransfers(): StepTransfers {
    return mergeTransfers(this.#connectors.map((connector) => connector.takeTransfers()));
  }

  stepScheduled(stepIndex: number, numTokens: number): void {
    for (const connector of this.#connectors) connector.stepScheduled(stepIndex, numTokens);
  }

  stepProcessed(stepIndex: number): void {
    for (const connector of this.#connectors) connector.stepProcessed(stepIndex);
  }

  /** What the result means for the request that waits for it; null if there is none. */
  complete(result: TransferResult): LoadProgress | null {
    const progress = this.#connectors.map((connector) => connector.completeTransfer(result));
    return progress.find((each) => each !== null) ?? null;
  }

  failOverdue(): readonly LoadProgress[] {
    return this.#connectors.flatMap((connector) => connector.failOverdue());
  }

  requestFinished(requestId: string): void {
    this.#loaders.delete(requestId);
    for (const connector of this.#connectors) connector.requestFinished(requestId);
  }

  discard(request: Request): void {
    for (const connector of this.#connectors) connector.discard(request);
    this.#settleLeases();
  }

  clear(tiers: readonly LowerTier[]): void {
    for (const connector of this.#connectors) connector.clear(tiers);
    this.#settleLeases();
  }

  beginEpoch(): void {
    for (const connector of this.#connectors) connector.beginEpoch();
    this.#loaders.clear();
  }

  checkIntegrity(isIdle: boolean): void {
    for (const connector of this.#connectors) connector.checkIntegrity(isIdle);
    if (isIdle) assert(this.#loaders.size === 0, () => `idle, but ${[...this.#loaders.keys()]} have a loader`);
  }

  #settleLeases(): void {
    const requests: LeaseRequests[] = this.#connectors.map((connector) => connector.takeLeaseRequests());
    const { leases, releases } = mergeLeaseRequests(requests);
    for (const [jobId, blockIds] of leases) this.#kvCache().leases.take(jobId, blockIds);
    // The latest first: the chunks of a prefix were planned head first, and its tail is to be evicted before its head.
    for (const jobId of [...releases].reverse()) this.#kvCache().leases.release(jobId);
  }
}
