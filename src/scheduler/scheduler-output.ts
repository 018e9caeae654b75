import type { StepTransfers } from "../offload/transfer-job";
import type { TokenHistory } from "../sampling/adjust-logits";
import type { Logprobs, SamplingParams } from "../sampling/sampling-params";

/** Where the ids of a scheduled request's tokens come from. */
export type TokenSource =
  /** Ids that the CPU knows: a chunk of the prompt. */
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  /** One token: the id that this row sampled last, read on the GPU. */
  | { readonly kind: "last-sampled" };

/** Entries `[firstIndex, firstIndex + blockIds.length)` of the row's block table in one KV cache group. */
export interface BlockTableUpdate {
  readonly group: number;
  readonly firstIndex: number;
  readonly blockIds: readonly number[];
}

export interface ScheduledRequest {
  readonly requestId: string;
  /** Row of the GPU's step state, 0 to maxNumRunning - 1; a request's own from admission until it ends. */
  readonly row: number;
  /** Position of the first token that this step computes = the number of computed tokens before it. */
  readonly startPosition: number;
  /** Tokens of this request in this step, at least 1. */
  readonly numTokens: number;
  readonly tokens: TokenSource;
  readonly blockTableUpdates: readonly BlockTableUpdate[];
  /** The step reaches the request's last known token, so a new id is sampled. */
  readonly samples: boolean;
}

/** A row that starts to be used: its state on the GPU is written anew before the step. */
export interface NewRow {
  readonly requestId: string;
  readonly row: number;
  readonly sampling: SamplingParams;
  /** All ids that are known, where penalties need them; from here on the row counts what it samples. */
  readonly history: TokenHistory | null;
}

/** The only thing that goes from the scheduler to the runner: integers, no GPU objects. */
export interface SchedulerOutput {
  readonly stepIndex: number;
  readonly newRows: readonly NewRow[];
  /** Requests in this step in the order of the batch. */
  readonly scheduled: readonly ScheduledRequest[];
  /** Sum of `numTokens`; at most the token budget. 0 in a step that only copies. */
  readonly numTokens: number;
  /** What is copied before the step computes. */
  readonly transfers: StepTransfers;
}

/** What a step gave back for one request that sampled. */
export interface SampledToken {
  readonly requestId: string;
  readonly tokenId: number;
  /** False where a logit was NaN or +infinity; the id is then meaningless. */
  readonly finite: boolean;
  /** Only where the request asked for them. */
  readonly logprobs?: Logprobs;
}

export interface StepResult {
  readonly stepIndex: number;
  /** One entry a scheduled request with `samples`, in batch order. */
  readonly sampled: readonly SampledToken[];
}
