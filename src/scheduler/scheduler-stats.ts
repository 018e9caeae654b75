/** What the scheduler did since it was made. Counts only grow. */
export interface SchedulerStats {
  readonly numSteps: number;
  /** Tokens that steps computed. */
  readonly numScheduledTokens: number;
  /** Tokens that were found in the prefix cache instead, at first and at later admissions. */
  readonly numCachedTokens: number;
  readonly numPreemptions: number;
  /** Requests looked at by `schedule` and `update`, and blocks looked up, touched, handed out or given back: the work done. */
  readonly numRequestsVisited: number;
  readonly numBlocksVisited: number;
}
