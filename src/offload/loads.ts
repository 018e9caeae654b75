import { type KvKey, kvKey } from "../kv/chunk";
import type { KvGeometry } from "../kv/geometry";
import type { PrefixHashes } from "../kv/prefix-hashes";
import { assert } from "../util/errors";
import type { LoadProgress, LoadTarget } from "./connector";
import type { OffloadManager } from "./offload-manager";
import type { BlockLoad, JobId, LoadJob } from "./transfer-job";

interface LoadBlock extends BlockLoad {
  readonly target: LoadTarget;
  readonly key: KvKey;
}

/** The blocks of one request: those before `numPlanned` have arrived, or are on their way in one of `jobs`. */
interface Load {
  readonly requestId: string;
  /** By index, then group. */
  readonly blocks: readonly LoadBlock[];
  /** One pin each, until no job reads them any more. */
  readonly slotIds: readonly number[];
  numPlanned: number;
  /** Live jobs, with the blocks of each. */
  readonly jobs: Map<JobId, readonly LoadBlock[]>;
  /** When the oldest of them counts as failed; Infinity without one. */
  deadlineMs: number;
  /** Nobody waits for it any more: it was revoked, aborted, or failed. */
  isOver: boolean;
}

/** A job that says nothing for so long has failed, as far as its request is concerned. */
const MAX_SILENCE_MS = 2000;

/** How a load stands, and what did not arrive. */
export interface LoadOutcome extends LoadProgress {
  readonly failedKeys: readonly KvKey[];
}

/** What it takes to plan and follow loads. */
export interface LoadsOptions {
  readonly geometry: KvGeometry;
  readonly manager: OffloadManager;
  readonly nextJobId: () => JobId;
  /** A clock in milliseconds. */
  readonly now: () => number;
  /** A chunk is no longer being loaded: it is on the GPU, or its load is over. */
  readonly onChanged: (key: KvKey) => void;
}

/**
 * Loads under way, one a request at most, in parts that go with steps. The host slots of a load are pinned from its
 * beginning until it has ended and the last of its jobs was heard of, so that nobody writes to what a job reads.
 */
export class Loads {
  readonly #options: LoadsOptions;
  /** In the order in which they began. */
  readonly #live = new Map<string, Load>();
  readonly #byJob = new Map<JobId, Load>();
  /** Keys of blocks that live loads bring and that have not arrived. Derived; null when it is to be made anew. */
  #keys: ReadonlySet<KvKey> | null = null;

  constructor(options: LoadsOptions) {
    this.#options = options;
  }

  get numJobs(): number {
    return this.#byJob.size;
  }

  get numLive(): number {
    return this.#live.size;
  }

  /** Slots that are read, counted once for each load. */
  get numReaders(): number {
    const loads = new Set([...this.#live.values(), ...this.#byJob.values()]);
    return [...loads].reduce((sum, { slotIds }) => sum + slotIds.length, 0);
  }

  has(requestId: string): boolean {
    return this.#live.has(requestId);
  }

  ownerOf(jobId: JobId): string | null {
    return this.#byJob.get(jobId)?.requestId ?? null;
  }

  isLoading(key: KvKey): boolean {
    if (this.#keys === null) {
      const keys = new Set<KvKey>();
      for (const load of this.#live.values()) for (const { key } of blocksToCome(load)) keys.add(key);
      this.#keys = keys;
    }
    return this.#keys.has(key);
  }

  /** Pins the chunks of `targets`, which are by index; all must be readable. Returns the chunk of each. */
  start(requestId: string, prefixHashes: PrefixHashes, targets: readonly LoadTarget[]): readonly KvKey[] {
    assert(!this.#live.has(requestId), () => `request ${requestId} loads already`);
    const { blocksPerChunk } = this.#options.geometry;
    const keyOf = ({ group, index }: LoadTarget) =>
      kvKey(group, prefixHashes.at(index - (index % blocksPerChunk) + blocksPerChunk - 1));
    const keys = [...new Set(targets.map(keyOf))];
    const slotIds = this.#options.manager.prepareLoad(keys);
    const slotOf = new Map(keys.map((key, i) => [key, slotIds[i]]));
    const blocks = targets.map((target) => {
      const key = keyOf(target);
      const { blockId, index } = target;
      return { slotId: slotOf.get(key)!, blockInChunk: index % blocksPerChunk, blockId, target, key };
    });
    this.#live.set(requestId, {
      requestId,
      blocks,
      slotIds,
      numPlanned: 0,
      jobs: new Map(),
      deadlineMs: Number.POSITIVE_INFINITY,
      isOver: false,
    });
    this.#keys = null;
    return blocks.map(({ key }) => key);
  }

  /**
   * The next blocks of a load, those of one index together: of at most `maxTokens` positions and `maxBlocks` blocks, but
   * of one index at least. Null when all were planned.
   */
  plan(
    requestId: string,
    maxTokens: number,
    maxBlocks: number,
    epoch: number,
  ): { job: LoadJob; numTokens: number } | null {
    const load = this.#live.get(requestId);
    if (!load || load.numPlanned === load.blocks.length) return null;
    const start = load.numPlanned;
    let end = start;
    let numTokens = 0;
    while (end < load.blocks.length) {
      const next = endOfIndex(load.blocks, end);
      const isOverBudget = numTokens + this.#options.geometry.blockSize > maxTokens || next - start > maxBlocks;
      if (end > start && isOverBudget) break;
      numTokens += this.#options.geometry.blockSize;
      end = next;
    }
    load.numPlanned = end;
    const blocks = load.blocks.slice(start, end);
    const jobId = this.#options.nextJobId();
    if (load.jobs.size === 0) load.deadlineMs = this.#options.now() + MAX_SILENCE_MS;
    load.jobs.set(jobId, blocks);
    this.#byJob.set(jobId, load);
    const bare = blocks.map(({ slotId, blockInChunk, blockId }) => ({ slotId, blockInChunk, blockId }));
    return { job: { jobId, epoch, blocks: bare }, numTokens };
  }

  /** Null for a job that is none of these, or that nobody waits for any more. */
  complete(jobId: JobId, numBlocks: number): LoadOutcome | null {
    const load = this.#byJob.get(jobId);
    if (!load) return null;
    const blocks = load.jobs.get(jobId)!;
    load.jobs.delete(jobId);
    this.#byJob.delete(jobId);
    if (load.isOver) {
      this.#unpinWhenDone(load);
      return null;
    }
    load.deadlineMs = load.jobs.size > 0 ? this.#options.now() + MAX_SILENCE_MS : Number.POSITIVE_INFINITY;
    const arrived = blocks.slice(0, numBlocks);
    const missing = blocks.slice(numBlocks);
    const isDone = load.numPlanned === load.blocks.length && load.jobs.size === 0;
    const state = missing.length > 0 ? "failed" : isDone ? "done" : "loading";
    this.#keys = null;
    if (state === "loading") for (const { key } of arrived) this.#options.onChanged(key);
    else this.#end(load);
    return {
      requestId: load.requestId,
      arrived: arrived.map(({ target }) => target),
      state,
      failedKeys: keysOf(missing),
    };
  }

  /** When the first load ends for want of an answer; Infinity without one. */
  get nextDeadlineMs(): number {
    return Math.min(...[...this.#live.values()].map(({ deadlineMs }) => deadlineMs));
  }

  /** Loads that have waited too long fail. Their jobs stay under way: what they read stays pinned. */
  failOverdue(): LoadOutcome[] {
    const nowMs = this.#options.now();
    const overdue = [...this.#live.values()].filter(({ deadlineMs }) => deadlineMs <= nowMs);
    return overdue.map((load) => {
      this.#end(load);
      const { requestId, jobs } = load;
      return { requestId, arrived: [], state: "failed", failedKeys: keysOf([...jobs.values()].flat()) };
    });
  }

  end(requestId: string): void {
    const load = this.#live.get(requestId);
    if (load) this.#end(load);
  }

  /** Every job fails, and nobody hears of it. */
  endAll(): void {
    for (const load of [...this.#live.values()]) this.#end(load);
    for (const [jobId, load] of this.#byJob) {
      load.jobs.delete(jobId);
      this.#unpinWhenDone(load);
    }
    this.#byJob.clear();
  }

  #end(load: Load): void {
    load.isOver = true;
    this.#live.delete(load.requestId);
    this.#keys = null;
    this.#unpinWhenDone(load);
    for (const { key } of load.blocks) this.#options.onChanged(key);
  }

  #unpinWhenDone(load: Load): void {
    if (load.jobs.size === 0) this.#options.manager.completeLoad(load.slotIds);
  }

  /** Throws `internal` unless loads and jobs lead to each other. */
  checkIntegrity(): void {
    for (const [jobId, load] of this.#byJob) {
      assert(load.jobs.has(jobId), () => `job ${jobId} is unknown to the load of ${load.requestId}`);
      const isKnown = load.isOver || this.#live.get(load.requestId) === load;
      assert(isKnown, () => `job ${jobId} belongs to a load of ${load.requestId} that is lost`);
    }
    for (const load of this.#live.values()) {
      assert(load.numPlanned <= load.blocks.length, () => `the load of ${load.requestId} lost count`);
      for (const jobId of load.jobs.keys()) {
        assert(this.#byJob.get(jobId) === load, () => `job ${jobId} of ${load.requestId} is lost`);
      }
    }
  }
}

function blocksToCome({ blocks, numPlanned, jobs }: Load): LoadBlock[] {
  return [...[...jobs.values()].flat(), ...blocks.slice(numPlanned)];
}

function keysOf(blocks: readonly LoadBlock[]): KvKey[] {
  return [...new Set(blocks.map(({ key }) => key))];
}

function endOfIndex(blocks: readonly LoadBlock[], start: number): number {
  let end = start + 1;
  while (end < blocks.length && blocks[end].target.index === blocks[start].target.index) end++;
  return end;
}
