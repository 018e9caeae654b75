import type { KvStats, KvTier, PrefetchRequest, PrefetchResult } from "../protocol/kv-messages";
import type { EngineInfo, GenerateRequest, PromptInput } from "../protocol/messages";
import type { RequestUpdate } from "../scheduler/request-update";
import type { SchedulerOutput, StepResult } from "../scheduler/scheduler-output";
import { endsInThoughts, IncrementalDecoder } from "../tokenizer/incremental-decoder";
import { assert, CairnError, toWireError } from "../util/errors";
import { deadlineTimer } from "./deadline-timer";
import type { EngineParts, StorageControl } from "./engine-parts";
import type { Command, Completion, GenerateSink, LiveRequest } from "./engine-records";
import { collectKvStats } from "./kv-stats";
import type { ModelRunner } from "./model-runner";
import { OutputProcessor } from "./output-processor";
import { Prefetches } from "./prefetches";
import { encodePrompt, preparePrefetch, prepareRequest } from "./prepare-request";
import { Recovery } from "./recovery";
import { TextLogprobs } from "./text-logprobs";
import { usageOf } from "./usage";

/**
 * The step loop: schedule -> submit -> update when the ids arrive, and ids -> events for each request's sink. It submits
 * as many steps as the scheduler lets be in flight, so that the GPU has the next one while the CPU reads the last:
 *
 *     CPU   submit 0, 1      update 0, submit 2      update 1, submit 3
 *     GPU   |  step 0         |  step 1               |  step 2
 *
 * So a request that arrives joins the first step that is not yet submitted. One that ends has tokens in the steps behind;
 * the scheduler drops them, and its id may be used again at once.
 *
 * `generate`, `abort` and the runner's promises only leave records; `#step` alone changes the scheduler's state. It runs
 * as a microtask after a record was left, so nothing is awaited between schedule and submit, and sleeps otherwise.
 *
 * When the device is lost, every request begins anew in the scheduler, whose next epoch it is; steps go on when there is a runner
 * again (recovery.ts). Until then all else goes on as ever, and what comes of the old epoch is dropped.
 */
export class Engine {
  readonly info: EngineInfo;
  readonly #parts: EngineParts;
  readonly #recovery: Recovery;
  readonly #setDeadline: (deadlineMs: number) => void;
  readonly #now: () => number;
  /** Requests whose last event was not sent yet. */
  readonly #live = new Map<string, LiveRequest>();
  readonly #prefetches: Prefetches;
  readonly #commands: Command[] = [];
  readonly #completions: Completion[] = [];
  /** Who waits until storage is cleared, or all is durable. */
  #clears: (() => void)[] = [];
  #flushes: (() => void)[] = [];
  /** Copies of this epoch whose result has not come. */
  #numTransfers = 0;
  /** Requests that wait for something of their own: what they need to begin, or a mask. */
  #numNotReady = 0;
  #isStepDue = false;
  /** Why the engine takes no more requests: the runner failed for good, an invariant broke, or it was disposed. */
  #failure: CairnError | null = null;
  #isDisposed = false;

  /** `now` is a clock in milliseconds. */
  constructor(parts: EngineParts, now: () => number = () => performance.now()) {
    this.info = parts.info;
    this.#parts = parts;
    this.#now = now;
    this.#prefetches = new Prefetches(parts.scheduler);
    this.#setDeadline = deadlineTimer(now, () => this.#wake());
    this.#recovery = new Recovery(parts, {
      now,
      live: () => this.#live.values(),
      onRebuilt: () => this.#wake(),
      onRefused: (live, error) => this.#awaitReady(live, Promise.reject(error)),
      onFailed: (error) => this.#fail(error),
    });
    if (this.#storage) this.#storage.executor.onResults = () => this.#wake();
  }

  /**
   * Starts a generation. All that comes of it goes to `sink`: `started`, deltas, then `done`; or `error`, always as the
   * last event. Never throws. The sink must not throw; it may call `abort` and `generate`.
   */
  generate(request: GenerateRequest, sink: GenerateSink): void {
    try {
      if (this.#failure) throw this.#failure;
      const live = this.#prepare(request, sink);
      this.#live.set(request.requestId, live);
      const making = this.#makeReady(live, request);
      if (making) this.#awaitReady(live, making);
      else this.#command({ kind: "add", live });
    } catch (error) {
      sink({ kind: "error", error: toWireError(error) });
    }
  }

  /** Ends a request with code `aborted`; no effect on one that ended or never was. */
  abort(requestId: string): void {
    if (this.#live.has(requestId)) this.#command({ kind: "abort", requestId });
  }

  /** Tokens of the prompt that `generate` would make of it. Throws as that fails. */
  countTokens(input: PromptInput): number {
    if (this.#failure) throw this.#failure;
    return encodePrompt(input, this.#parts).length;
  }

  /** What the KV cache holds and did. */
  kvStats(): KvStats {
    return collectKvStats(this.#parts, this.#recovery.numLosses);
  }

  /**
   * Empties these tiers, before the next step; resolves when storage is empty too. Requests that run keep what they hold; what is
   * computed later is kept again.
   */
  async kvClear(tiers: readonly KvTier[]): Promise<void> {
    if (this.#failure) throw this.#failure;
    await new Promise<void>((done) => this.#command({ kind: "clear", tiers, done }));
  }

  /** Resolves when nothing is under way to storage any more, or nothing can get there. */
  async kvFlush(): Promise<void> {
    if (this.#failure) throw this.#failure;
    await new Promise<void>((done) => this.#command({ kind: "flush", done }));
    await this.#storage?.executor.flush();
  }

  /**
   * Brings what the host tier has of a prompt to the GPU; computes nothing, and makes no room that is not there. Rejects as
   * `generate` fails.
   */
  async kvPrefetch({ requestId, input, cacheSalt }: PrefetchRequest): Promise<PrefetchResult> {
    if (this.#failure) throw this.#failure;
    const request = preparePrefetch({ requestId, input, cacheSalt }, this.#parts);
    return await new Promise<PrefetchResult>((resolve, reject) => {
      this.#command({ kind: "prefetch", request, prefetch: { resolve, reject } });
    });
  }

  /** Ends every request with code `disposed` and frees what the runner holds. Idempotent. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#fail(new CairnError("disposed", "The engine was disposed."));
    this.#storage?.executor.close();
    this.#recovery.dispose();
  }

  get failure(): CairnError | null {
    return this.#failure;
  }

  get #storage(): StorageControl | null {
    return this.#parts.offload?.storage ?? null;
  }

  #prepare(request: GenerateRequest, sink: GenerateSink): LiveRequest {
    const { requestId, stop, keepSpecialTokens } = request;
    if (this.#live.has(requestId)) {
      const message = `The request id ${requestId} is in use.`;
      throw new CairnError("invalid_request", message, { param: "requestId" });
    }
    const arrivalMs = this.#now();
    const prepared = prepareRequest(request, this.#parts);
    const { tokenizer } = this.#parts;
    const decoder = new IncrementalDecoder(tokenizer, prepared.promptTokenIds, keepSpecialTokens);
    const logprobs = prepared.sampling.numLogprobs === null ? null : new TextLogprobs(tokenizer);
    const output = new OutputProcessor(decoder, stop, logprobs, arrivalMs);
    const isThinking = endsInThoughts(tokenizer, prepared.promptTokenIds);
    return { request: prepared, sink, output, isThinking, constraint: null };
  }

  #command(command: Command): void {
    this.#commands.push(command);
    this.#wake();
  }

  #wake(): void {
    if (this.#isStepDue) return;
    this.#isStepDue = true;
    queueMicrotask(() => this.#step());
  }

  /** Completions first, and all that arrived: they give back the rows and blocks that new requests and steps need. */
  #step(): void {
    this.#isStepDue = false;
    if (this.#failure) return;
    try {
      this.#storage?.books.settle();
      for (const completion of this.#completions.splice(0)) this.#complete(completion);
      for (const command of this.#commands.splice(0)) this.#obey(command);
      const { runner } = this.#recovery;
      if (runner) this.#submitSteps(runner);
      this.#storage?.books.pump();
      this.#prefetches.settle();
      this.#endWaits();
      if (!runner) return;
      // A request that waits for a tier is asked again by its deadline, also if nothing else happens until then.
      this.#setDeadline(this.#parts.scheduler.nextDeadlineMs);
      this.#checkIdle();
    } catch (error) {
      this.#fail(error);
    }
  }

  #submitSteps(runner: ModelRunner): void {
    const { scheduler } = this.#parts;
    for (let output = scheduler.schedule(); output; output = scheduler.schedule()) this.#submit(output, runner);
  }

  #submit(output: SchedulerOutput, runner: ModelRunner): void {
    const { epoch } = this.#recovery;
    const { landed, transfers } = runner.submit(output, this.#masksFor(output));
    landed.then(
      (result) => this.#completed({ kind: "step", epoch, output, result }),
      (error) => this.#completed({ kind: "failed", epoch, error }),
    );
    this.#numTransfers += transfers.length;
    for (const transfer of transfers) transfer.then((result) => this.#completed({ kind: "transfer", epoch, result }));
    const nowMs = this.#now();
    for (const { requestId } of output.scheduled) this.#live.get(requestId)?.output.markScheduled(nowMs);
  }

  #masksFor({ scheduled }: SchedulerOutput): Map<number, Uint32Array<ArrayBuffer>> {
    const masks = new Map<number, Uint32Array<ArrayBuffer>>();
    for (const { requestId, row, samples } of scheduled) {
      const constraint = this.#live.get(requestId)?.constraint;
      if (constraint && samples) masks.set(row, constraint.mask);
    }
    return masks;
  }

  /** What a request needs before it begins; null where all is there. */
  #makeReady(live: LiveRequest, { grammar, thinkingGrammar }: GenerateRequest): Promise<void> | null {
    const preparing = this.#recovery.prepare(live.request.sampling);
    const format = thinkingGrammar && live.isThinking ? thinkingGrammar : grammar;
    if (!format) return preparing;
    return (async () => {
      await preparing;
      live.constraint = await this.#parts.constrain(format);
    })();
  }

  #awaitReady(live: LiveRequest, ready: Promise<void>): void {
    this.#numNotReady += 1;
    const completed = (error: unknown) => this.#completed({ kind: "ready", live, error });
    ready.then(() => completed(null), completed);
  }

  /** The request begins, or goes on. */
  #takeReady(live: LiveRequest, error: unknown): void {
    const { requestId, arrivalIndex } = live.request;
    this.#numNotReady -= 1;
    if (this.#live.get(requestId) !== live) live.constraint?.end();
    else if (error) this.#endWithError(live, error);
    else if (arrivalIndex < 0) this.#obey({ kind: "add", live });
    else this.#parts.scheduler.release(requestId);
  }

  #completed(completion: Completion): void {
    this.#completions.push(completion);
    this.#wake();
  }

  #complete(completion: Completion): void {
    if (completion.kind === "ready") this.#takeReady(completion.live, completion.error);
    else if (completion.epoch !== this.#recovery.epoch) return;
    else if (completion.kind === "step") this.#update(completion.output, completion.result);
    else if (completion.kind === "failed") this.#lose(completion.error);
    else {
      this.#numTransfers -= 1;
      this.#parts.scheduler.completeTransfers([completion.result]);
    }
  }

  #lose(error: unknown): void {
    this.#recovery.begin(error);
    this.#parts.scheduler.beginEpoch();
    this.#numTransfers = 0;
  }

  #update(output: SchedulerOutput, result: StepResult): void {
    for (const update of this.#parts.scheduler.update(output, result)) {
      const live = this.#live.get(update.requestId);
      assert(live, () => `an update for ${update.requestId}, which is not live`);
      this.#guard(live, () => this.#emitUpdate(live, update));
    }
  }

  #emitUpdate(live: LiveRequest, update: RequestUpdate): void {
    const { requestId, finishReason: ownReason, error } = update;
    if (ownReason === "error") throw error;
    const nowMs = this.#now();
    const { finishReason, ...delta } = live.output.push(update, ownReason, nowMs);
    live.sink({ kind: "delta", ...delta });
    if (finishReason === null) {
      if (live.constraint) this.#awaitReady(live, live.constraint.accept(update.newTokenIds[0]));
      return;
    }
    if (ownReason === null) this.#parts.scheduler.finish(requestId, "stop");
    this.#forget(live);
    live.sink({
      kind: "done",
      finishReason,
      usage: usageOf(live.request),
      timings: live.output.timings(nowMs),
    });
  }

  #obey(command: Command): void {
    if (command.kind === "add") {
      const { live } = command;
      this.#guard(live, () => {
        this.#parts.scheduler.addRequest(live.request);
        const { isThinking, request, sink } = live;
        sink({ kind: "started", promptTokenIds: request.promptTokenIds, ...(isThinking && { isThinking }) });
      });
    } else if (command.kind === "prefetch") {
      this.#prefetches.start(command.request, command.prefetch);
    } else if (command.kind === "clear") {
      if (command.tiers.includes("gpu")) this.#parts.scheduler.resetPrefixCache();
      this.#parts.scheduler.clearTiers(command.tiers.filter((tier) => tier !== "gpu"));
      this.#clears.push(command.done);
    } else if (command.kind === "flush") {
      this.#flushes.push(command.done);
    } else {
      const live = this.#live.get(command.requestId);
      if (live) this.#endWithError(live, new CairnError("aborted", "The request was aborted."));
    }
  }

  #endWaits(): void {
    const isCleared = !this.#storage?.books.isClearing;
    if (isCleared) for (const done of this.#clears.splice(0)) done();
    if (this.#flushes.length > 0 && isCleared && this.#isDurable) for (const done of this.#flushes.splice(0)) done();
  }

  get #isDurable(): boolean {
    const stats = this.#parts.offload?.connector.stats;
    if (!stats?.storage) return true;
    return stats.numStoresWaiting + stats.numStoresInFlight + stats.storage.bytesNotDurable === 0;
  }

  /** What goes wrong in one request's own processing ends that request and no other. */
  #guard(live: LiveRequest, action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#endWithError(live, error);
    }
  }

  #forget({ request, constraint }: LiveRequest): void {
    this.#live.delete(request.requestId);
    constraint?.end();
  }

  #endWithError(live: LiveRequest, error: unknown): void {
    this.#parts.scheduler.abort(live.request.requestId);
    this.#forget(live);
    live.sink({ kind: "error", error: toWireError(error) });
  }

  #checkIdle(): void {
    const { scheduler } = this.#parts;
    const numPending = scheduler.numInFlightSteps + this.#numTransfers + this.#numNotReady;
    if (numPending + scheduler.numDeferred > 0) return;
    if (this.#storage?.books.hasWork) return;
    assert(!scheduler.hasUnfinished, "requests wait for nothing");
    scheduler.checkIntegrity();
  }

  /** Ends the engine: every live request gets the error, and so does every later one. The first failure stays. */
  #fail(thrown: unknown): void {
    if (this.#failure) return;
    const wire = toWireError(thrown);
    this.#failure = thrown instanceof CairnError ? thrown : CairnError.fromWire(wire);
    for (const live of [...this.#live.values()]) {
      this.#forget(live);
      live.sink({ kind: "error", error: wire });
    }
    for (const command of this.#commands) {
      if (command.kind === "prefetch") command.prefetch.reject(this.#failure);
      if (command.kind === "clear" || command.kind === "flush") command.done();
    }
    for (const done of [...this.#clears, ...this.#flushes]) done();
    this.#prefetches.fail(this.#failure);
    this.#setDeadline(Number.POSITIVE_INFINITY);
    this.#commands.length = 0;
    this.#completions.length = 0;
  }
}
