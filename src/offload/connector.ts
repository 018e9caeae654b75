import type { ChunkOfPrefix } from "../kv/chunk";
import type { PrefixHashes } from "../kv/prefix-hashes";
import type { KvStore, KvTier } from "../protocol/kv-messages";
import type { OffloadStats } from "./offload-stats";
import type { JobId, LoadJob, StepTransfers, TransferResult } from "./transfer-job";

/** A request as a connector sees it. Its counts are read at the moment of a call. */
export interface ConnectorRequest {
  readonly requestId: string;
  /** Tokens whose ids are known. */
  readonly numTokens: number;
  /** Positions that submitted steps fill, or that were cached. */
  readonly numComputedTokens: number;
  /** Null for a request that does not use the prefix cache: no tier has anything for it, nor gets anything from it. */
  readonly prefixHashes: PrefixHashes | null;
  readonly store: KvStore;
  /** It wants what tiers have and computes nothing. False unless given. */
  readonly isPrefetch?: boolean;
}

/** The block that a request holds at an entry of a group's block table; null where it holds none there (any more). */
export type BlockAt = (group: number, index: number) => number | null;

/** When a request's chunks are offered: before a step is put together; and before its blocks are given back. */
export type StoreMoment = "compute" | "preempt" | "finish";

/** A chunk whose blocks lie in the prefix cache with nobody to hold them, one of which is about to be handed out. */
export interface EvictedChunk extends ChunkOfPrefix {
  readonly blockIds: readonly number[];
  /** Of the request that made it whole. */
  readonly store: KvStore;
}

/** Why a request waits for a tier. "loading": another request loads what it needs. Else as LookupResult. */
export type DeferralReason = "loading" | "pending" | "retry";

export type LookupAnswer =
  /** No more than the GPU has. */
  | { readonly kind: "none" }
  /** Ask again when the connector wakes the request; until then it holds nothing. */
  | { readonly kind: "deferred"; readonly reason: DeferralReason }
  /** GPU and tier together have what the query behind `numBlocks` blocks sees, readable now. */
  | { readonly kind: "load"; readonly numBlocks: number };

/** An entry of a request's block table that a load fills. */
export interface LoadTarget {
  readonly group: number;
  readonly index: number;
  readonly blockId: number;
}

/** Blocks of a load that arrived, in order, and how the load stands. */
export interface LoadProgress {
  readonly requestId: string;
  readonly arrived: readonly LoadTarget[];
  /** "failed": what did not arrive is a miss for this request from now on; the load is over. */
  readonly state: "loading" | "done" | "failed";
}

export type LowerTier = Exclude<KvTier, "gpu">;

/** Holds of jobs on GPU blocks that a connector asks for, leases first. Whoever gets it leaves it as it is. */
export interface LeaseRequests {
  readonly leases: ReadonlyMap<JobId, readonly number[]>;
  readonly releases: ReadonlySet<JobId>;
}

/**
 * Moves KV between GPU blocks and other tiers, as the scheduler sees it. Every call comes from within a call to the scheduler
 * and changes nothing but the connector; what it wants of the scheduler it says in answers and in `takeLeaseRequests`.
 *
 *     lookup -> startLoad -> planLoad (a part each step) -> completeTransfer -> progress -> ... "done"
 *                   '------------- endLoad: revoked, aborted ---------------'
 *     offer -> lease -> takeTransfers (submitted) -> release -> completeTransfer
 *                 '---- cancelStore -> release
 */
export interface Connector {
  requestAdded(request: ConnectorRequest): void;

  /** The request runs from now on, or loads: what it waited for so far is behind it. */
  requestAdmitted(request: ConnectorRequest): void;

  /** Requests whose deferral is over, one way or another, since the last call. */
  takeWoken(): readonly string[];

  /** When the first deferral or load ends for want of an answer, on the connector's clock; Infinity without one. */
  readonly nextDeadlineMs: number;

  /** A step begins to be put together: stores that wait go with it as far as there is room. */
  beginStep(): void;

  /** What the tiers add to the blocks that the GPU has of a request's known tokens, the last one excepted. Reserves nothing. */
  lookup(request: ConnectorRequest, isCached: (group: number, index: number) => boolean): LookupAnswer;

  /**
   * Follows a "load" answer in the same pass: its blocks are allocated. The slots are pinned from here on. Returns the positions
   * for which something was brought out of storage.
   */
  startLoad(request: ConnectorRequest, targets: readonly LoadTarget[]): number;

  /**
   * The next part of a load, of at most `maxTokens` positions (one block at least), to go with this step; null when all of it is on
   * its way or the step's bytes are used up.
   */
  planLoad(requestId: string, maxTokens: number): { readonly job: LoadJob; readonly numTokens: number } | null;

  /** The request no longer wants what it loads. No effect without a load. */
  endLoad(requestId: string): void;

  /**
   * The request holds these blocks now, and may lose them after this call. Plans stores of its full chunks whose KV exists; their
   * leases are in `takeLeaseRequests`.
   */
  offer(moment: StoreMoment, request: ConnectorRequest, blockAt: BlockAt): void;

  /** The last chance to copy what is about to be handed out; what is not copied with this step is lost. */
  offerEvicted(chunks: readonly EvictedChunk[]): void;

  /** What holds the connector wants and gives up, since the last call. */
  takeLeaseRequests(): LeaseRequests;

  /** Gives up the newest store that was not submitted and whose blocks pass the test; false where there is none. */
  cancelStore(isWorthIt: (blockIds: readonly number[]) => boolean): boolean;

  /** What goes with the step. */
  takeTransfers(): StepTransfers;

  /** A step was put together, `takeTransfers` included, and came back: tells how long computing and loading take. */
  stepScheduled(stepIndex: number, numTokens: number): void;
  stepProcessed(stepIndex: number): void;

  /** Takes in a job's result; null for stores, and for a job that nobody waits for any more. */
  completeTransfer(result: TransferResult): LoadProgress | null;

  /** Loads whose jobs have been silent for too long: they have failed. */
  failOverdue(): readonly LoadProgress[];

  /** Comes once for each request, after its last `offer`. Its stores in flight go on. */
  requestFinished(requestId: string): void;

  /** The request's KV is not to be believed: what it has stored, or is storing, is nobody's hit from now on. */
  discard(request: ConnectorRequest): void;

  /** Empties these tiers. What is under way to them is void. */
  clear(tiers: readonly LowerTier[]): void;

  /** The GPU device is gone, and its blocks with it: every job fails, leases and deferrals end; the host tier keeps what it has. */
  beginEpoch(): void;

  /** A job, a lease or a store that waits exists: there is more to come. */
  readonly hasWork: boolean;
  readonly stats: OffloadStats;

  /** Throws `internal` unless jobs, leases, loads, deferrals and slots agree; with `isIdle`, unless there are none. */
  checkIntegrity(isIdle: boolean): void;
}
