import { type KvKey, kvKey } from "../kv/chunk";
import type { KvGeometry } from "../kv/geometry";
import { assert } from "../util/errors";
import type {
  BlockAt,
  Connector,
  ConnectorRequest,
  EvictedChunk,
  LeaseRequests,
  LoadProgress,
  LoadTarget,
  LookupAnswer,
  LowerTier,
  StoreMoment,
} from "./connector";
import { Deferrals } from "./deferrals";
import { LoadOrCompute } from "./load-or-compute";
import { type LoadOutcome, Loads } from "./loads";
import { Offers } from "./offers";
import type { OffloadManager } from "./offload-manager";
import type { OffloadPolicy } from "./offload-policy";
import type { OffloadStats } from "./offload-stats";
import { type ChunkState, lookupPrefix, type NeededChunk, type PrefixLookup } from "./prefix-lookup";
import { Stores } from "./stores";
import type { JobId, LoadJob, StepTransfers, TransferResult } from "./transfer-job";

export interface OffloadConnectorOptions {
  readonly geometry: KvGeometry;
  /** Bytes of a block below the GPU; those of its page unless given. */
  readonly blockBytes?: number;
  /** Of the GPU's pool, the null block included. */
  readonly numBlocks: number;
  readonly manager: OffloadManager;
  readonly policy: OffloadPolicy;
  /** Slots of the staging ring: stores that may be in flight at once. */
  readonly numStagingSlots: number;
  /** Bytes that one step copies at most, stores and loads together; one chunk and one position's blocks go in any case. */
  readonly maxTransferBytesPerStep: number;
  /** "auto", and unless given: what is sooner computed is not loaded, and nobody waits for a tier longer than computing would take. */
  readonly loadPolicy?: "auto" | "always";
  /** A clock in milliseconds. */
  readonly now: () => number;
  /** Makes ids that no other connector of the engine gets. */
  readonly nextJobId?: () => JobId;
}

/** No tier is worth a longer wait; and where loads are wanted always. */
const MAX_DEFERRAL_MS = 2000;
const MAX_ALWAYS_MS = 30_000;
/** Share of the pool that leases may hold. */
const MAX_LEASED_SHARE = 0.25;
/** Share of a step's bytes that stores may take, so that loads, for which somebody waits, always get on. */
const MAX_STORE_SHARE = 0.5;

/**
 * Offloads KV to a manager's tier, and loads it from there: the scheduler's side. It composes what it takes, each in a
 * file of its own: what is waited for (Deferrals), what is worth loading (LoadOrCompute), loads in parts (Loads), the boundary of
 * what may be stored (numStorableTokens), stores and their leases (Stores), and what is worth storing (OffloadPolicy).
 */
export class OffloadConnector implements Connector {
  readonly #options: OffloadConnectorOptions;
  readonly #deferrals: Deferrals;
  readonly #loads: Loads;
  readonly #stores: Stores;
  readonly #offers: Offers;
  readonly #rates: LoadOrCompute;
  /** Chunks that failed to arrive, or are sooner computed, by request: misses for it from then on. */
  readonly #misses = new Map<string, Set<KvKey>>();
  /** Requests whose load failed: until they run they load nothing more, so that no block is loaded twice. */
  readonly #failedLoads = new Set<string>();
  readonly #blockBytes: number;
  readonly #numBlocksPerStep: number;
  /** That were added and have not finished. */
  readonly #requestIds = new Set<string>();
  #epoch = 0;
  #stepLoads: LoadJob[] = [];
  /** Of the step that `takeTransfers` was called for last. */
  #numStepBlocksLoaded = 0;
  #numLoads = 0;
  #numLoadsDeclined = 0;
  #numLoadsFailed = 0;
  #numBlocksLoaded = 0;

  constructor(options: OffloadConnectorOptions) {
    const { geometry, numBlocks, manager, numStagingSlots, maxTransferBytesPerStep, now } = options;
    const { blocksPerChunk } = geometry;
    let numJobs = 0;
    const nextJobId = options.nextJobId ?? (() => ++numJobs);
    const onChanged = (key: KvKey) => this.#deferrals.wake(key);
    this.#options = options;
    this.#rates = new LoadOrCompute(geometry, now);
    this.#deferrals = new Deferrals(now);
    this.#blockBytes = options.blockBytes ?? geometry.pageBytes;
    this.#numBlocksPerStep = Math.floor(maxTransferBytesPerStep / this.#blockBytes);
    this.#loads = new Loads({ geometry, manager, nextJobId, now, onChanged });
    this.#stores = new Stores({
      manager,
      nextJobId,
      numStagingSlots,
      blocksPerChunk,
      maxLeasedBlocks: Math.max(blocksPerChunk, Math.floor(MAX_LEASED_SHARE * (numBlocks - 1))),
      maxChunksPerStep: Math.max(1, Math.floor((MAX_STORE_SHARE * this.#numBlocksPerStep) / blocksPerChunk)),
      onChanged,
    });
    this.#offers = new Offers({ geometry, manager, policy: options.policy, stores: this.#stores });
  }

  get nextDeadlineMs(): number {
    const pinDeadlineMs = this.#options.manager.storage?.nextDeadlineMs ?? Number.POSITIVE_INFINITY;
    return Math.min(this.#deferrals.nextDeadlineMs, this.#loads.nextDeadlineMs, pinDeadlineMs);
  }

  get hasWork(): boolean {
    return this.#stores.size > 0 || this.#loads.numJobs > 0 || (this.#options.manager.storage?.hasWork ?? false);
  }

  requestAdded(request: ConnectorRequest): void {
    this.#requestIds.add(request.requestId);
    this.#options.manager.sight(this.#chunkKeys(request));
  }

  requestAdmitted(request: ConnectorRequest): void {
    this.#deferrals.forget(request.requestId);
    this.#failedLoads.delete(request.requestId);
    this.#options.manager.touch(this.#chunkKeys(request));
    this.#options.manager.storage?.release(request.requestId);
  }

  takeWoken(): readonly string[] {
    this.#followStorage();
    return this.#deferrals.takeWoken();
  }

  beginStep(): void {
    this.#options.policy.beginStep();
    this.#stores.beginStep();
  }

  lookup(request: ConnectorRequest, isCached: (group: number, index: number) => boolean): LookupAnswer {
    const { requestId, prefixHashes } = request;
    if (prefixHashes === null || this.#failedLoads.has(requestId)) return { kind: "none" };
    const { numBlocks, numTokensToLoad, waitsFor, chunks } = this.#chooseLoad(request, isCached);
    if (chunks.length === 0) return { kind: "none" };
    if (waitsFor === null) return { kind: "load", numBlocks };
    const { manager, loadPolicy } = this.#options;
    // Others must not push out of the tier, while the request waits, what it has there already.
    manager.touch(keysOf(chunks));
    const predictedMs = Math.min(this.#rates.predictMs(numTokensToLoad), MAX_DEFERRAL_MS);
    const maxWaitMs = loadPolicy === "always" ? MAX_ALWAYS_MS : predictedMs;
    const deadlineMs = this.#deferrals.defer(requestId, waitsFor.key, waitsFor.reason, maxWaitMs);
    manager.storage?.promote(requestId, prefixHashes, chunks, deadlineMs);
    return { kind: "deferred", reason: waitsFor.reason };
  }

  /**
   * Of the prefix that a request can have, what is sooner loaded than computed: all of it, or what comes before the first chunk that
   * only storage has, or nothing. The rest is a miss for it, for good.
   */
  #chooseLoad(request: ConnectorRequest, isCached: (group: number, index: number) => boolean): PrefixLookup {
    const { requestId, isPrefetch } = request;
    const found = this.#findPrefix(request, isCached);
    if (this.#options.loadPolicy === "always" || isPrefetch || found.chunks.length === 0) return found;
    const stored = found.chunks.filter(({ state }) => state === "stored");
    const chunks = stored.length > 0 ? stored : found.chunks;
    if (this.#rates.isSooner(requestId, chunks, stored.length, found.numBlocks)) return found;
    this.#numLoadsDeclined += 1;
    this.#addMisses(requestId, keysOf(chunks));
    return this.#chooseLoad(request, isCached);
  }

  /** The prefix that a request can have; what RAM has no room for ends it. */
  #findPrefix(request: ConnectorRequest, isCached: (group: number, index: number) => boolean): PrefixLookup {
    const { geometry, manager } = this.#options;
    const misses = new Set(this.#misses.get(request.requestId));
    const isExhausted = this.#deferrals.isExhausted(request.requestId);
    const stateOf = (key: KvKey): ChunkState => {
      if (misses.has(key)) return "miss";
      const state = this.#loads.isLoading(key) ? "loading" : manager.lookup(key);
      return isExhausted && state !== "hit" ? "miss" : state;
    };
    for (;;) {
      const found = lookupPrefix(geometry, request, isCached, stateOf);
      const withoutRoom = manager.storage?.withoutRoom(found.chunks) ?? [];
      if (withoutRoom.length === 0) return found;
      for (const key of withoutRoom) misses.add(key);
    }
  }

  startLoad({ requestId, prefixHashes }: ConnectorRequest, targets: readonly LoadTarget[]): number {
    assert(prefixHashes, () => `request ${requestId} loads, but does not use the prefix cache`);
    this.#numLoads += 1;
    const keys = this.#loads.start(requestId, prefixHashes, targets);
    const { geometry, manager } = this.#options;
    const promoted = targets.filter((_, i) => manager.storage?.isPromoted(requestId, keys[i]));
    return new Set(promoted.map(({ index }) => index)).size * geometry.blockSize;
  }

  planLoad(requestId: string, maxTokens: number): { readonly job: LoadJob; readonly numTokens: number } | null {
    const numBlocksLeft = this.#numBlocksPerStep - this.#numStepBlocks;
    if (numBlocksLeft <= 0 && this.#stepLoads.length > 0) return null;
    const planned = this.#loads.plan(requestId, maxTokens, numBlocksLeft, this.#epoch);
    if (planned) this.#stepLoads.push(planned.job);
    return planned;
  }

  endLoad(requestId: string): void {
    this.#loads.end(requestId);
  }

  offer(moment: StoreMoment, request: ConnectorRequest, blockAt: BlockAt): void {
    this.#offers.offer(moment, request, blockAt, this.#epoch);
  }

  offerEvicted(chunks: readonly EvictedChunk[]): void {
    this.#offers.offerEvicted(chunks, this.#epoch);
  }

  takeLeaseRequests(): LeaseRequests {
    return this.#stores.takeLeaseRequests();
  }

  cancelStore(isWorthIt: (blockIds: readonly number[]) => boolean): boolean {
    return this.#stores.cancelNewest(isWorthIt);
  }

  takeTransfers(): StepTransfers {
    const loads = this.#stepLoads;
    this.#stepLoads = [];
    this.#numStepBlocksLoaded = numBlocksOf(loads);
    return { stores: this.#stores.takeSubmitted(), loads };
  }

  stepScheduled(stepIndex: number, numTokens: number): void {
    this.#rates.stepScheduled(stepIndex, numTokens, this.#numStepBlocksLoaded);
  }

  stepProcessed(stepIndex: number): void {
    this.#rates.stepProcessed(stepIndex);
  }

  completeTransfer({ jobId, epoch, numBlocks }: TransferResult): LoadProgress | null {
    if (epoch !== this.#epoch) return null;
    const stored = this.#stores.complete(jobId, numBlocks);
    if (stored) {
      const { isStored, owner } = stored;
      if (!isStored && owner && this.#requestIds.has(owner.requestId)) {
        this.#options.policy.putBack(owner.requestId, owner.chunk);
      }
      return null;
    }
    const outcome = this.#loads.complete(jobId, numBlocks);
    return outcome && this.#follow(outcome);
  }

  failOverdue(): readonly LoadProgress[] {
    return this.#loads.failOverdue().map((outcome) => this.#follow(outcome));
  }

  requestFinished(requestId: string): void {
    this.#requestIds.delete(requestId);
    this.#misses.delete(requestId);
    this.#failedLoads.delete(requestId);
    this.#deferrals.forget(requestId);
    this.#options.policy.forget(requestId);
    this.#options.manager.storage?.release(requestId);
  }

  discard(request: ConnectorRequest): void {
    this.#stores.discard(request.requestId);
    this.#options.manager.discard(this.#chunkKeys(request));
  }

  clear(tiers: readonly LowerTier[]): void {
    const { manager } = this.#options;
    // Before RAM is: its chunks are not to be written.
    if (tiers.includes("storage")) manager.storage?.clear();
    if (tiers.includes("host")) {
      this.#stores.voidAll();
      manager.clear();
      this.#offerAllAgain();
    }
    this.#deferrals.wakeAll();
  }

  beginEpoch(): void {
    this.#epoch += 1;
    this.#loads.endAll();
    this.#stores.endAll();
    this.#stepLoads = [];
    this.#rates.forgetSteps();
    this.#offerAllAgain();
    this.#deferrals.wakeAll();
  }

  get stats(): OffloadStats {
    const { manager, geometry } = this.#options;
    const chunkBytes = geometry.blocksPerChunk * this.#blockBytes;
    const stores = this.#stores;
    return {
      host: manager.stats,
      storage: manager.storage?.stats ?? null,
      chunkBytes,
      numLoads: this.#numLoads,
      numLoadsFailed: this.#numLoadsFailed,
      numLoadsDeclined: this.#numLoadsDeclined,
      numBlocksLoaded: this.#numBlocksLoaded,
      bytesLoaded: this.#numBlocksLoaded * this.#blockBytes,
      numStores: stores.numStored,
      bytesStored: stores.numStored * chunkBytes,
      numStoresFailed: stores.numFailed,
      numStoresCancelled: stores.numCancelled,
      numStoresWithoutRoom: stores.numWithoutRoom,
      numStoresWaiting: stores.numWaiting,
      numStoresInFlight: stores.numInFlight,
      numLeasedBlocks: stores.numLeasedBlocks,
      maxLeasedBlocks: stores.maxLeasedBlocks,
      numDeferrals: { ...this.#deferrals.numDeferrals },
      numDeferralsTimedOut: this.#deferrals.numTimedOut,
    };
  }

  /** The request that a job copies for; null for a chunk that nobody held, and for a job that is none of these. */
  ownerOf(jobId: JobId): string | null {
    return this.#stores.ownerOf(jobId) ?? this.#loads.ownerOf(jobId);
  }

  isDeferred(requestId: string): boolean {
    return this.#deferrals.isWaiting(requestId);
  }

  checkIntegrity(isIdle: boolean): void {
    this.#deferrals.checkIntegrity();
    this.#loads.checkIntegrity();
    this.#stores.checkIntegrity();
    const { manager } = this.#options;
    manager.checkIntegrity({ numPending: this.#stores.size, numReaders: this.#loads.numReaders });
    if (!isIdle) return;
    const left = { stores: this.#stores.size, jobs: this.#loads.numJobs, loads: this.#loads.numLive };
    const numLeft = left.stores + left.jobs + left.loads + this.#deferrals.numWaiting + this.#requestIds.size;
    assert(numLeft === 0, () => `idle, but the connector has ${JSON.stringify(left)}, or requests`);
  }

  /** Blocks that the step copies so far. */
  get #numStepBlocks(): number {
    return this.#stores.numSubmitted * this.#options.geometry.blocksPerChunk + numBlocksOf(this.#stepLoads);
  }

  #follow({ requestId, arrived, state, failedKeys }: LoadOutcome): LoadProgress {
    this.#numBlocksLoaded += arrived.length;
    if (state === "failed") {
      this.#numLoadsFailed += 1;
      this.#failedLoads.add(requestId);
      this.#addMisses(requestId, failedKeys);
    }
    return { requestId, arrived, state };
  }

  #followStorage(): void {
    const changes = this.#options.manager.storage?.takeChanges();
    if (!changes) return;
    for (const { numChunks, ms } of changes.reads) this.#rates.chunksRead(numChunks, ms);
    for (const [requestId, keys] of changes.failed) {
      if (this.#requestIds.has(requestId)) this.#addMisses(requestId, keys);
    }
    for (const key of changes.keys) this.#deferrals.wake(key);
    if (changes.isIndexNew) this.#deferrals.wakeAll();
  }

  #addMisses(requestId: string, keys: readonly KvKey[]): void {
    this.#misses.set(requestId, new Set([...(this.#misses.get(requestId) ?? []), ...keys]));
  }

  /** Of all full chunks of the request's known tokens, head first. */
  #chunkKeys({ prefixHashes, numTokens }: ConnectorRequest): KvKey[] {
    if (prefixHashes === null) return [];
    const { blockSize, blocksPerChunk, groups } = this.#options.geometry;
    const numChunks = Math.floor(numTokens / (blockSize * blocksPerChunk));
    return Array.from({ length: numChunks }, (_, chunk) => prefixHashes.at((chunk + 1) * blocksPerChunk - 1)).flatMap(
      (hash) => groups.map((_, group) => kvKey(group, hash)),
    );
  }

  #offerAllAgain(): void {
    for (const requestId of this.#requestIds) this.#options.policy.forget(requestId);
  }
}

function numBlocksOf(loads: readonly LoadJob[]): number {
  return loads.reduce((sum, { blocks }) => sum + blocks.length, 0);
}

function keysOf(chunks: readonly NeededChunk[]): KvKey[] {
  return chunks.map(({ key }) => key);
}
