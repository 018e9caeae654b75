import type { PrefixHashes } from "../kv/prefix-hashes";
import type { KvStore } from "../protocol/kv-messages";
import type { SamplingParams } from "../sampling/sampling-params";
import type { FoundTokens } from "./scheduler-state";

/**
 * A preempted request waits too; it has run before and computes its tokens again. A loading one has a row and blocks, to
 * which another tier's KV is copied; it runs when all of it has arrived.
 */
export type RequestStatus = "waiting" | "preempted" | "loading" | "running" | "finished";

/** "error": the model gave no usable logits. "abort": the caller wants no more. */
export type RequestFinishReason = "stop" | "length" | "error" | "abort";

export interface RequestOptions {
  readonly requestId: string;
  readonly promptTokenIds: readonly number[];
  readonly sampling: SamplingParams;
  /** Most ids to generate, at least 1; the context may end the request sooner. */
  readonly maxTokens: number;
  /** Ids that end the text. */
  readonly eosTokenIds: readonly number[];
  /** An integer; lower runs sooner and is preempted later. Equal ones go by arrival. 0 unless given. */
  readonly priority?: number;
  /** False: neither takes blocks from the prefix cache nor leaves any there. */
  readonly usePrefixCache?: boolean;
  /** Requests share cached blocks only with those of the same salt; null is a salt of its own. */
  readonly cacheSalt?: string | null;
  /** Tiers that its KV may be offered to; "all" unless given. What they have is used in any case. */
  readonly store?: KvStore;
  /** Generates nothing: it ends when what the tiers have of its prompt is on the GPU, and nobody waits behind it. */
  readonly isPrefetch?: boolean;
}

/**
 * One generation, as the scheduler counts it. Only the scheduler changes it. Positions of a running request:
 *
 *     0           cached         processed            computed
 *     |  prefix hit  |  written     |  in flight         |  not scheduled yet
 *
 *     0           numPromptTokens        numTokens           numTokens + numOutputPlaceholders
 *     |  prompt      |  output, known        |  sampled by steps in flight  |
 *
 * processed = computed - in flight. The two rulers share their origin: a prefill has computed < numTokens; a decode has
 * computed = numTokens + placeholders - 1, so that one token can always be scheduled next. KV may be believed where it
 * is written and its id known: before min(computed, numTokens).
 */
export class Request {
  readonly requestId: string;
  readonly promptTokenIds: readonly number[];
  readonly sampling: SamplingParams;
  readonly maxTokens: number;
  readonly eosTokenIds: readonly number[];
  readonly priority: number;
  readonly usePrefixCache: boolean;
  readonly cacheSalt: string | null;
  readonly store: KvStore;
  readonly isPrefetch: boolean;
  readonly outputTokenIds: number[] = [];

  status: RequestStatus = "waiting";
  finishReason: RequestFinishReason | null = null;
  /** Place in the order of arrival; -1 until the request is added, which it can be once. */
  arrivalIndex = -1;
  /** Hashes of its full blocks; null until it is added, and where it does not use the prefix cache. */
  prefixHashes: PrefixHashes | null = null;
  /** Row of the GPU's step state and of the block tables; null while it does not run. A preempted request gets another. */
  row: number | null = null;
  /** Positions that submitted steps fill, or that were cached; advanced when a step is scheduled. */
  numComputedTokens = 0;
  /** Tokens of this life of the request whose step was not processed yet. */
  numInFlightTokens = 0;
  /** Output positions that steps in flight sample: they exist, but the CPU has not seen their ids. */
  numOutputPlaceholders = 0;
  /** The newest step that computes tokens of this life; -1 before the first. */
  lastStepIndex = -1;
  /** A constrained request from the step that samples for it until it is released: it is not scheduled. */
  isHeld = false;
  /** Prompt tokens whose KV was there when it first ran, on the GPU or in another tier; null before. */
  numCachedTokens: number | null = null;
  /** Those of them for which something was loaded from another tier, in whatever KV cache group. */
  numExternalTokens = 0;
  /** Those of these for which something was brought out of storage. */
  numStorageTokens = 0;
  numPreemptions = 0;
  /** Times that its load was given up to make room for others. */
  numRevocations = 0;
  /** Blocks that were free after the last of these; it loads again only when there are more. */
  numFreeBlocksAtRevocation: number | null = null;

  constructor(options: RequestOptions) {
    this.requestId = options.requestId;
    this.promptTokenIds = options.promptTokenIds;
    this.sampling = options.sampling;
    this.maxTokens = options.maxTokens;
    this.eosTokenIds = options.eosTokenIds;
    this.priority = options.priority ?? 0;
    this.usePrefixCache = options.usePrefixCache ?? true;
    this.cacheSalt = options.cacheSalt ?? null;
    this.store = options.store ?? "all";
    this.isPrefetch = options.isPrefetch ?? false;
  }

  /** What it may sample next depends on the ids before: see `isHeld`. */
  get isConstrained(): boolean {
    return this.sampling.isConstrained;
  }

  get numPromptTokens(): number {
    return this.promptTokenIds.length;
  }

  /** Known tokens: the prompt and the ids that the CPU has seen. */
  get numTokens(): number {
    return this.promptTokenIds.length + this.outputTokenIds.length;
  }

  /** Known ids of positions [start, end). */
  tokenIds(start: number, end: number): readonly number[] {
    const { promptTokenIds, outputTokenIds, numPromptTokens } = this;
    if (end <= numPromptTokens) return promptTokenIds.slice(start, end);
    const outputs = outputTokenIds.slice(Math.max(0, start - numPromptTokens), end - numPromptTokens);
    return start >= numPromptTokens ? outputs : [...promptTokenIds.slice(start), ...outputs];
  }

  /** Most tokens that the request ever feeds to the model. The last id that it samples is never fed. */
  maxNumFedTokens(maxModelLen: number): number {
    return Math.min(this.numPromptTokens + this.maxTokens, maxModelLen) - 1;
  }

  /** Where it found what it has when it first begins. */
  takeFound({ numTokens, numExternalTokens, numStorageTokens }: FoundTokens): void {
    this.numCachedTokens = numTokens;
    this.numExternalTokens = numExternalTokens;
    this.numStorageTokens = numStorageTokens;
  }

  /** Feeds the next `numTokens` positions in a step; true if the step reaches the last token that there is, and samples. */
  advance(numTokens: number, stepIndex: number): boolean {
    this.numComputedTokens += numTokens;
    this.numInFlightTokens += numTokens;
    this.lastStepIndex = stepIndex;
    const samples = this.numComputedTokens === this.numTokens + this.numOutputPlaceholders;
    if (samples) this.numOutputPlaceholders += 1;
    if (samples) this.isHeld = this.isConstrained;
    return samples;
  }

  /** Begins the next life: nothing is computed, and what steps in flight bring for the last one does not count. */
  restart(): void {
    this.status = "preempted";
    this.numPreemptions += 1;
    // An id that is dropped is sampled again, with what was allowed for it.
    if (this.numOutputPlaceholders > 0) this.isHeld = false;
    this.numComputedTokens = 0;
    this.numInFlightTokens = 0;
    this.numOutputPlaceholders = 0;
    this.lastStepIndex = -1;
  }
}
