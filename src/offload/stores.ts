import type { KvKey } from "../kv/chunk";
import { assert } from "../util/errors";
import type { LeaseRequests } from "./connector";
import type { OffloadManager } from "./offload-manager";
import type { ChunkRef } from "./offload-policy";
import type { JobId, StoreJob } from "./transfer-job";

/** A chunk that is to be stored, and the blocks that hold it. */
export interface StoreSource {
  readonly key: KvKey;
  readonly blockIds: readonly number[];
  /** Whose chunk it is; null where it lies in the prefix cache with nobody to hold it. */
  readonly owner: { readonly requestId: string; readonly chunk: ChunkRef } | null;
}

interface Store {
  readonly job: StoreJob;
  readonly owner: StoreSource["owner"];
  isLeased: boolean;
  isSubmitted: boolean;
  /** What it copies is not to be believed. */
  isVoid: boolean;
}

export interface StoresOptions {
  readonly manager: OffloadManager;
  readonly nextJobId: () => JobId;
  /** Slots of the staging ring: stores that may be in flight. */
  readonly numStagingSlots: number;
  readonly blocksPerChunk: number;
  /** Blocks that leases may hold. */
  readonly maxLeasedBlocks: number;
  /** Chunks that may be copied in one step, at least 1. */
  readonly maxChunksPerStep: number;
  readonly onChanged: (key: KvKey) => void;
}

/**
 * Stores under way. Each is one chunk, in one slot of the staging ring:
 *
 *     planned                submitted                            result
 *     |  lease on its blocks  |  its copy is ahead of all that      |  readable in the host slot
 *     |  slot pending         |  is written from this step on       |  (or forgotten)
 *
 * So blocks need no hold from the submit on: whoever gets them next writes behind the copy. One that is planned while a step
 * with room for it is put together is submitted at once, and needs none at all.
 */
export class Stores {
  readonly #options: StoresOptions;
  readonly #stores = new Map<JobId, Store>();
  /** Planned and not submitted, oldest first. */
  #waiting: Store[] = [];
  #submitted: StoreJob[] = [];
  #leases = new Map<JobId, readonly number[]>();
  #releases = new Set<JobId>();
  #isStepOpen = false;
  numInFlight = 0;
  numStored = 0;
  numFailed = 0;
  numCancelled = 0;
  numWithoutRoom = 0;
  /** Times that a refused store may have found room since. */
  numRoomsMade = 0;

  constructor(options: StoresOptions) {
    this.#options = options;
  }

  get numWaiting(): number {
    return this.#waiting.length;
  }

  /** With the step that is being put together. */
  get numSubmitted(): number {
    return this.#submitted.length;
  }

  get numLeasedBlocks(): number {
    return this.#waiting.length * this.#options.blocksPerChunk;
  }

  get maxLeasedBlocks(): number {
    return this.#options.maxLeasedBlocks;
  }

  get size(): number {
    return this.#stores.size;
  }

  get jobIds(): readonly JobId[] {
    return [...this.#stores.keys()];
  }

  /** Jobs that hold a lease. */
  get leasingJobIds(): readonly JobId[] {
    return this.#waiting.map(({ job }) => job.jobId);
  }

  ownerOf(jobId: JobId): string | null {
    return this.#stores.get(jobId)?.owner?.requestId ?? null;
  }

  /** Stores that wait go with the step that begins, as far as it has room. */
  beginStep(): void {
    this.#isStepOpen = true;
    this.#submitWaiting();
  }

  /** Stores that can still be planned: those that go with this step, and those that leases may wait for. */
  get room(): number {
    const { maxLeasedBlocks, blocksPerChunk } = this.#options;
    const numMayWait = Math.max(1, Math.floor(maxLeasedBlocks / blocksPerChunk));
    return Math.max(0, this.roomInStep - this.#waiting.length) + Math.max(0, numMayWait - this.#waiting.length);
  }

  /** Stores that can still go with the step that is being put together. */
  get roomInStep(): number {
    if (!this.#isStepOpen) return 0;
    const { numStagingSlots, maxChunksPerStep } = this.#options;
    return Math.max(0, Math.min(numStagingSlots - this.numInFlight, maxChunksPerStep - this.#submitted.length));
  }

  /** A store whose slot is set aside goes with the step that is being put together, or takes a lease and waits. */
  plan({ key, blockIds, owner }: StoreSource, slotId: number, epoch: number): void {
    const job = { jobId: this.#options.nextJobId(), epoch, key, blockIds, slotId };
    const store = { job, owner, isLeased: false, isSubmitted: false, isVoid: false };
    this.#stores.set(job.jobId, store);
    this.#waiting.push(store);
    this.#submitWaiting();
    if (store.isSubmitted) return;
    store.isLeased = true;
    this.#leases.set(job.jobId, blockIds);
  }

  #submitWaiting(): void {
    const submitting = this.#waiting.splice(0, this.roomInStep);
    for (const store of submitting) {
      store.isSubmitted = true;
      this.numInFlight += 1;
      this.#submitted.push(store.job);
      if (store.isLeased) this.#releases.add(store.job.jobId);
    }
    if (submitting.length > 0) this.numRoomsMade += 1;
  }

  takeLeaseRequests(): LeaseRequests {
    const requests = { leases: this.#leases, releases: this.#releases };
    this.#leases = new Map();
    this.#releases = new Set();
    return requests;
  }

  takeSubmitted(): readonly StoreJob[] {
    const submitted = this.#submitted;
    this.#submitted = [];
    this.#isStepOpen = false;
    return submitted;
  }

  /** Gives up the newest store that waits and passes the test. */
  cancelNewest(isWorthIt: (blockIds: readonly number[]) => boolean): boolean {
    const index = this.#waiting.findLastIndex(({ job }) => isWorthIt(job.blockIds));
    if (index < 0) return false;
    this.#cancel(this.#waiting[index]);
    this.numCancelled += 1;
    return true;
  }

  #cancel(store: Store): void {
    this.#waiting.splice(this.#waiting.indexOf(store), 1);
    this.#releases.add(store.job.jobId);
    this.#end(store, false);
  }

  /** The store that succeeded or failed; null for a job that is none of these. */
  complete(
    jobId: JobId,
    numBlocks: number,
  ): { readonly isStored: boolean; readonly owner: StoreSource["owner"] } | null {
    const store = this.#stores.get(jobId);
    if (!store) return null;
    assert(store.isSubmitted, () => `store ${jobId} has a result, but was not submitted`);
    this.numInFlight -= 1;
    const isStored = numBlocks === store.job.blockIds.length && !store.isVoid;
    if (isStored) this.numStored += 1;
    else this.numFailed += 1;
    this.#end(store, isStored);
    return { isStored, owner: store.isVoid ? null : store.owner };
  }

  /** What a request stores is not to be believed. */
  discard(requestId: string): void {
    for (const store of [...this.#stores.values()]) {
      if (store.owner?.requestId !== requestId) continue;
      store.isVoid = true;
      if (!store.isSubmitted) this.#cancel(store);
    }
  }

  /** What was planned so far is not to be readable. */
  voidAll(): void {
    for (const store of [...this.#stores.values()]) {
      store.isVoid = true;
      if (!store.isSubmitted) this.#cancel(store);
    }
  }

  /** No store arrives any more, and no block needs its lease. */
  endAll(): void {
    for (const store of [...this.#stores.values()]) {
      if (store.isSubmitted) this.#end(store, false);
      else this.#cancel(store);
    }
    this.numInFlight = 0;
    this.#submitted = [];
    this.takeLeaseRequests();
  }

  #end(store: Store, success: boolean): void {
    this.#stores.delete(store.job.jobId);
    this.#options.manager.completeStore(store.job.slotId, success);
    this.#options.onChanged(store.job.key);
  }

  /** Throws `internal` unless stores are waiting or in flight, each once. */
  checkIntegrity(): void {
    const numSubmitted = [...this.#stores.values()].filter(({ isSubmitted }) => isSubmitted).length;
    const isRight = numSubmitted === this.numInFlight && numSubmitted + this.#waiting.length === this.#stores.size;
    assert(isRight, () => `stores are lost: ${numSubmitted}, ${this.#waiting.length} of ${this.#stores.size}`);
    const { numStagingSlots } = this.#options;
    assert(this.numInFlight <= numStagingSlots, () => `${this.numInFlight} stores in ${numStagingSlots} staging slots`);
  }
}
