import { policyOf } from "../offload/arc-policy";
import { HostManager } from "../offload/host-manager";
import { OffloadConnector } from "../offload/offload-connector";
import { makeOffloadPolicy } from "../offload/offload-policy";
import type { LoadJob, StoreJob } from "../offload/transfer-job";
import type { KvStore } from "../protocol/kv-messages";
import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { assert, CairnError } from "../util/errors";
import { countOffloadEvents, type OffloadParts, snapshotOffload } from "./count-offload-events.property.fixture";
import { type ExpectedTokens, PrefixTrie } from "./expected-tokens.property.fixture";
import { LoadCounts } from "./load-counts.property.fixture";
import type { OffloadEvents } from "./offload-events.property.fixture";
import type { Fate, OffloadRun } from "./offload-run.property.fixture";
import {
  EOS,
  expectedTokensOf,
  maxTokensOf,
  type RandomRequest,
  schedulerOptionsOf,
} from "./random-run.property.fixture";
import { Request } from "./request";
import { Scheduler } from "./scheduler";
import type { SchedulerOptions } from "./scheduler-options";
import { ShadowRunner } from "./shadow-runner.fixture";
import { ShadowTransfers } from "./shadow-transfers.fixture";
import { maxNumSteps } from "./step-bound.property.fixture";
import type { StorageEvents } from "./storage-events.property.fixture";
import { StoragePlayer } from "./storage-player.property.fixture";
import type { StorageRun } from "./storage-run.property.fixture";

/** Longer than any deadline and any delay that ends, at the fastest clock. */
const MAX_IDLE_TURNS = 2500;

interface Watched {
  readonly request: Request;
  readonly expected: ExpectedTokens;
  readonly maxNumOutputTokens: number;
  isStopped: boolean;
}

interface JobUnderWay {
  readonly requestId: string | null;
  readonly fate: Fate;
  readonly dueTurn: number;
}

/**
 * Plays a run with a connector to its end. Checked after every call: contents of blocks, stores and loads (the shadows),
 * books of scheduler, connector and host tier, that no free block is named by a step in flight; at the end the ids of
 * alone, the number of steps, and how often each chunk was loaded for each request.
 */
export class OffloadPlayer {
  readonly #run: OffloadRun;
  readonly #events: OffloadEvents;
  readonly #options: SchedulerOptions;
  readonly #connector: OffloadConnector;
  readonly #scheduler: Scheduler;
  readonly #runner: ShadowRunner;
  /** Null where there is no storage tier. */
  readonly #storage: StoragePlayer | null;
  readonly #storageEvents: StorageEvents | null;
  /** By the number of the request, over and over. */
  readonly #stores: readonly KvStore[];
  readonly #transfers: ShadowTransfers;
  readonly #trie = new PrefixTrie();
  readonly #arrived: ExpectedTokens[] = [];
  readonly #pending: Set<number>;
  readonly #all: Watched[] = [];
  readonly #live = new Map<string, Watched>();
  readonly #stops: { readonly turn: number; readonly request: Request; readonly reason: "abort" | "stop" }[] = [];
  readonly #jobs = new Map<number, JobUnderWay>();
  readonly #loads = new LoadCounts();
  #turn = 0;
  #numJobs = 0;
  #numLosses = 0;

  constructor(
    run: OffloadRun,
    events: OffloadEvents,
    storage: { run: StorageRun; events: StorageEvents } | null = null,
  ) {
    const { offload } = run;
    const base = schedulerOptionsOf(run.run);
    const geometry = { ...base.geometry, blocksPerChunk: offload.blocksPerChunk };
    const { numSlots, storeThreshold, numStagingSlots, policy } = offload;
    const now = () => this.#turn * offload.msPerTurn;
    this.#run = run;
    this.#events = events;
    this.#options = { ...base, geometry };
    const { numBlocks, maxNumRunning } = this.#options;
    const expectedOf = (requestId: string) => this.#watched(requestId).expected;
    this.#runner = new ShadowRunner({ geometry, numBlocks, maxNumRunning, expectedOf });
    this.#transfers = new ShadowTransfers(geometry, this.#runner);
    const host = new HostManager({
      numSlots,
      evictionPolicy: policyOf(offload.evictionPolicy),
      storeThreshold,
      reserveSlot: () => true,
      now,
    });
    this.#stores = storage?.run.storage.stores ?? ["all"];
    this.#storage =
      storage && new StoragePlayer(host, this.#transfers, geometry, storage.run.storage, storage.events, now);
    this.#storageEvents = storage?.events ?? null;
    this.#connector = new OffloadConnector({
      geometry,
      numBlocks: base.numBlocks,
      manager: this.#storage?.manager ?? host,
      policy: makeOffloadPolicy(policy),
      numStagingSlots,
      maxTransferBytesPerStep: offload.maxBlocksPerStep * geometry.pageBytes,
      loadPolicy: storage?.run.storage.loadPolicy,
      now,
    });
    this.#scheduler = new Scheduler(this.#options, [this.#connector]);
    this.#pending = new Set(run.run.requests.keys());
  }

  play(): void {
    let numIdleTurns = 0;
    while (this.#pending.size > 0 || this.#live.size > 0 || this.#runner.unprocessed.length > 0) {
      const isBusy = this.#playTurn();
      numIdleTurns = isBusy || this.#pending.size > 0 ? 0 : numIdleTurns + 1;
      assert(numIdleTurns < MAX_IDLE_TURNS, () => `stuck: ${[...this.#live.keys()]} wait for ever`);
      this.#turn += 1;
    }
    this.#drain();
    this.#checkEnd();
  }

  /** False where nothing happened. */
  #playTurn(): boolean {
    const { rhythm, resetTurns } = this.#run.run;
    const { clearTurns, lossTurns, losesDeviceWhenLoading } = this.#run.offload;
    const isFirstLoad = losesDeviceWhenLoading && this.#numLosses === 0 && this.#scheduler.numLoading > 0;
    for (const { turn, request, reason } of this.#stops) if (turn === this.#turn) this.#stop(request, reason);
    for (const index of this.#pending) this.#arrive(index);
    if (resetTurns.includes(this.#turn)) {
      this.#scheduler.resetPrefixCache();
      this.#storage?.evict();
    }
    if (clearTurns.includes(this.#turn)) this.#clear();
    if (lossTurns.includes(this.#turn) || isFirstLoad) this.#loseDevice();
    const clear = (tier: "host" | "storage") => this.#scheduler.clearTiers([tier]);
    this.#storage?.happen(this.#turn, clear, () => this.#loseDevice());
    this.#abortByState();
    const hasLanded = this.#landDue();
    if (rhythm[this.#turn % rhythm.length] && this.#runner.unprocessed.length > 0) this.#process();
    else if (!this.#schedule() && this.#runner.unprocessed.length > 0) this.#process();
    else if (this.#runner.unprocessed.length === 0) return hasLanded;
    return true;
  }

  #arrive(index: number): void {
    const { run } = this.#run;
    const spec = run.requests[index];
    if (this.#turn < spec.arrivalTurn) return;
    this.#pending.delete(index);
    const parent = spec.parent === null ? null : (this.#arrived[spec.parent % this.#arrived.length] ?? null);
    const expected = expectedTokensOf(run, index, this.#trie, parent);
    this.#arrived.push(expected);
    const request = this.#makeRequest(spec, expected, String(index));
    try {
      this.#scheduler.addRequest(request);
    } catch (error) {
      const code = error instanceof CairnError ? error.code : null;
      assert(code === "context_length_exceeded" || code === "cache_too_small", () => `refused for ${error}`);
      return;
    }
    const { maxModelLen } = this.#options;
    if (request.prefixHashes) {
      const learned = this.#transfers.learn(expected, spec.cacheSalt, maxModelLen + 1);
      if (request.store === "all") this.#storage?.learn(learned.map(({ key }) => key));
    }
    const maxNumOutputTokens = Math.min(request.maxTokens, maxModelLen - request.numPromptTokens);
    const watched = { request, expected, maxNumOutputTokens, isStopped: false };
    this.#all.push(watched);
    this.#live.set(request.requestId, watched);
    if (spec.stop) this.#stops.push({ turn: this.#turn + spec.stop.numTurns, request, reason: spec.stop.reason });
    this.#check();
  }

  #makeRequest(spec: RandomRequest, { promptTokenIds }: ExpectedTokens, requestId: string): Request {
    const { priority, usePrefixCache, cacheSalt } = spec;
    const maxTokens = maxTokensOf(this.#run.run, spec);
    const ids = { requestId, promptTokenIds, eosTokenIds: [EOS] };
    const store = this.#stores[Number(requestId) % this.#stores.length];
    return new Request({ ...ids, sampling: NEUTRAL_SAMPLING, maxTokens, priority, usePrefixCache, cacheSalt, store });
  }

  #stop(request: Request, reason: "abort" | "stop"): void {
    const watched = this.#live.get(request.requestId);
    if (watched?.request !== request) return;
    if (request.status === "loading") this.#events.count("an abort while loading");
    if (reason === "abort" && this.#storage?.isReading) this.#storageEvents?.count("an abort while a chunk is read");
    const { numDeferred } = this.#scheduler;
    watched.isStopped = true;
    assert(this.#scheduler.finish(request.requestId, reason), "a live request is unknown");
    if (this.#scheduler.numDeferred < numDeferred) this.#events.count("an abort while put off");
    this.#live.delete(request.requestId);
    this.#check();
  }

  #abortByState(): void {
    const { abortsWhen } = this.#run.offload;
    for (const { request } of [...this.#live.values()]) {
      const state = abortsWhen[Number(request.requestId) % abortsWhen.length];
      const isThere = state === "loading" ? request.status === "loading" : state !== null && this.#isDeferred(request);
      if (isThere) this.#stop(request, "abort");
    }
  }

  #isDeferred({ requestId }: Request): boolean {
    return this.#connector.isDeferred(requestId);
  }

  #clear(): void {
    const hasStores = [...this.#transfers.jobs].some(({ kind }) => kind === "store");
    if (hasStores) this.#events.count("a clear with a store in flight");
    this.#scheduler.clearTiers();
    this.#check();
  }

  #loseDevice(): void {
    if (this.#transfers.jobs.length > 0) this.#events.count("a device lost with a job in flight");
    if (this.#scheduler.numLoading > 0) this.#events.count("a device lost while a request loads");
    if (this.#storage?.isReading) this.#storageEvents?.count("a device lost with a read under way");
    const jobs = [...this.#jobs.keys()];
    while (this.#runner.unprocessed.length > 0) this.#runner.process();
    this.#runner.forgetAll();
    this.#transfers.dropJobs();
    this.#jobs.clear();
    this.#scheduler.beginEpoch();
    this.#numLosses += 1;
    // What an old device still says means nothing.
    const epoch = this.#numLosses - 1;
    this.#scheduler.completeTransfers(jobs.map((jobId) => ({ jobId, epoch, numBlocks: 1 })));
    this.#check();
  }

  #landDue(): boolean {
    const due = [...this.#jobs].filter(([, { dueTurn }]) => dueTurn <= this.#turn);
    for (const [jobId, job] of due) this.#land(jobId, job);
    const hasEnded = this.#storage?.endDue(this.#turn) ?? false;
    return hasEnded || due.length > 0;
  }

  #land(jobId: number, { requestId, fate }: JobUnderWay): void {
    const { kind } = this.#transfers.jobs.find(({ job }) => job.jobId === jobId)!;
    const isLive = requestId !== null && this.#live.has(requestId);
    const request = requestId === null ? null : this.#live.get(requestId)?.request;
    this.#jobs.delete(jobId);
    const result = this.#transfers.end(jobId, fate.numGoodQuarters === 4);
    if (kind === "load" && request?.status !== "loading") this.#events.count("a result for a load that is over");
    if (kind === "store") this.#events.count(fate.numGoodQuarters === 4 ? "a store" : "a store that fails");
    if (kind === "store" && requestId !== null && !isLive)
      this.#events.count("a store that lands after its request has ended");
    const { numLoadsFailed } = this.#connector.stats;
    this.#scheduler.completeTransfers([result]);
    if (this.#connector.stats.numLoadsFailed > numLoadsFailed) {
      this.#events.count("a load that fails");
      if (result.numBlocks > 0) this.#events.count("a load that fails after some of it has arrived");
    }
    this.#check();
  }

  #schedule(): boolean {
    if (this.#runner.unprocessed.length === this.#options.maxInFlightSteps) return false;
    this.#storage?.settle();
    const before = snapshotOffload(this.#parts);
    const output = this.#scheduler.schedule();
    this.#storage?.pump(this.#turn);
    if (this.#storageEvents) this.#countStorageEvents(this.#storageEvents, before);
    countOffloadEvents(this.#events, this.#parts, before, output);
    if (output) {
      for (const job of output.transfers.stores) this.#submitted(job, this.#ownerOf(job));
      for (const job of output.transfers.loads) this.#submitted(job, this.#loaderOf(job));
      this.#transfers.run(output.transfers, (job) => this.#numGoodBlocks(job));
      this.#runner.run(output);
    }
    this.#check();
    return output !== null;
  }

  #countStorageEvents(events: StorageEvents, before: ReturnType<typeof snapshotOffload>): void {
    const { numDeferrals, numDeferralsTimedOut } = this.#connector.stats;
    events.count("a deferral before storage is opened", numDeferrals.retry - before.stats.numDeferrals.retry);
    const hasTimedOut = numDeferralsTimedOut > before.stats.numDeferralsTimedOut;
    if (hasTimedOut && this.#storage?.isReading) events.count("a deadline passes while a chunk is read");
    const numStorageTokens = this.#scheduler.stats.numStorageTokens - before.scheduler.numStorageTokens;
    const numExternalTokens = this.#scheduler.stats.numExternalTokens - before.scheduler.numExternalTokens;
    assert(
      numStorageTokens <= numExternalTokens,
      () => `${numStorageTokens} tokens of ${numExternalTokens} are stored`,
    );
    if (numStorageTokens > 0) events.count("a load from storage");
    if (numStorageTokens > 0 && numStorageTokens < numExternalTokens) events.count("a load from RAM and storage");
  }

  #submitted(job: StoreJob | LoadJob, requestId: string | null): void {
    const { fates } = this.#run.offload;
    const fate = fates[this.#numJobs++ % fates.length];
    if (fate.delay === null) this.#events.count("a copy that never ends");
    const minDelay = "blocks" in job ? this.#run.offload.minLoadDelay : 0;
    const dueTurn = fate.delay === null ? Number.POSITIVE_INFINITY : this.#turn + Math.max(fate.delay, minDelay);
    this.#jobs.set(job.jobId, { requestId, fate, dueTurn });
  }

  #numGoodBlocks({ jobId, blocks }: LoadJob): number {
    return Math.floor((blocks.length * this.#jobs.get(jobId)!.fate.numGoodQuarters) / 4);
  }

  #process(): void {
    const { output, result } = this.#runner.process();
    for (const { requestId, finishReason } of this.#scheduler.update(output, result)) {
      if (finishReason) this.#live.delete(requestId);
    }
    this.#check();
  }

  /** Copies that never end keep their slots; all others are let end, and nothing is left. */
  #drain(): void {
    for (let i = 0; this.#scheduler.hasUnfinished && i < MAX_IDLE_TURNS; i++) {
      this.#schedule();
      while (this.#runner.unprocessed.length > 0) this.#process();
      for (const [jobId, job] of this.#jobs) this.#land(jobId, job);
      this.#storage?.drain();
      this.#turn += 1;
    }
  }

  #checkEnd(): void {
    const { numFreeBlocks, numUsableBlocks, numRunning, numWaiting, numLoading, stats } = this.#scheduler;
    assert(numRunning + numWaiting + numLoading === 0 && !this.#scheduler.hasUnfinished, "something is left");
    assert(numFreeBlocks === numUsableBlocks, "blocks are lost");
    this.#scheduler.checkIntegrity();
    this.#storage?.checkEnd();
    for (const { request, expected, maxNumOutputTokens, isStopped } of this.#all) {
      const whole = expected.outputTokenIds(maxNumOutputTokens, request.eosTokenIds);
      const alone = isStopped ? whole.slice(0, request.outputTokenIds.length) : whole;
      assert(
        `${request.outputTokenIds}` === `${alone}`,
        () => `${request.requestId} got ${request.outputTokenIds}, alone ${alone}`,
      );
    }
    this.#loads.check(
      this.#all.map(({ request }) => request),
      this.#numLosses,
    );
    assert(stats.numSteps <= this.#maxNumSteps, () => `${stats.numSteps} steps, at most ${this.#maxNumSteps} were due`);
  }

  /**
   * As without a connector (step-bound.property.fixture.ts), and beyond it: a request that was put off or has loaded may
   * take the place of the first of those that run, once for each time; a lost device lets all begin again; and each
   * step that computes nothing copies something.
   */
  get #maxNumSteps(): number {
    const requests = this.#all.map(({ request }) => request);
    const sum = maxNumSteps(requests, this.#options);
    const largest = Math.max(0, ...requests.map((request) => maxNumSteps([request], this.#options)));
    const { numLoads, numDeferrals } = this.#connector.stats;
    const numOvertakings = numLoads + numDeferrals.loading + numDeferrals.pending + numDeferrals.retry;
    return (1 + this.#numLosses) * sum + numOvertakings * largest + this.#numJobs;
  }

  #check(): void {
    this.#scheduler.checkIntegrity();
    this.#storage?.check();
    this.#runner.checkNoneNamed(new Set(this.#scheduler.freeBlockIds));
  }

  get #parts(): OffloadParts {
    return {
      scheduler: this.#scheduler,
      connector: this.#connector,
      requests: [...this.#live.values()].map(({ request }) => request),
      storing: new Set([...this.#jobs.values()].map(({ requestId }) => requestId)),
      numGroups: this.#options.geometry.groups.length,
    };
  }

  #watched(requestId: string): Watched {
    const watched = this.#live.get(requestId);
    assert(watched, () => `${requestId} is scheduled, but not here`);
    return watched;
  }

  #ownerOf({ jobId }: StoreJob): string | null {
    return this.#connector.ownerOf(jobId);
  }

  #loaderOf(job: LoadJob): string | null {
    const requestId = this.#connector.ownerOf(job.jobId);
    assert(requestId !== null, () => `job ${job.jobId} loads for nobody`);
    this.#loads.count(requestId, job, (slotId) => this.#transfers.keyOfSlot(slotId));
    return requestId;
  }
}
