/** What the scheduler did since it was made. Counts only grow. */
export interface SchedulerStats {
  readonly numSteps: number;
  /** Tokens that steps computed. */
  readonly numScheduledTokens: number;
  /** Tokens whose KV was there instead, at first and at later admissions, on whatever tier. */
  readonly numCachedTokens: number;
  /** Those of them that were loaded from a tier below the GPU. */
  readonly numExternalTokens: number;
  /** Those of these that were brought out of storage. */
  readonly numStorageTokens: number;
  readonly numPreemptions: number;
  /** Loads that were given up to make room for others. */
  readonly numRevocations: number;
  /** Requests looked at by `schedule` and `update`, and blocks looked up, touched, handed out or given back: the work done. */
  readonly numRequestsVisited: number;
  readonly numBlocksVisited: number;
}
