import { assert } from "../util/errors";
import { checkStep, type Queues, snapshotQueues } from "./check-step.property.fixture";
import type { ExpectedTokens } from "./expected-tokens.property.fixture";
import type { Life } from "./life.property.fixture";
import { countPreemptions, countWaiting, type RareEvents } from "./rare-events.property.fixture";
import type { Request, RequestFinishReason } from "./request";
import type { Scheduler } from "./scheduler";
import type { SchedulerOptions } from "./scheduler-options";
import type { SampledToken } from "./scheduler-output";
import { ShadowRunner } from "./shadow-runner.fixture";
import { maxNumSteps } from "./step-bound.property.fixture";
import { StepFollower } from "./step-follower.property.fixture";

/** A request that was accepted, and what it must generate. */
interface Watched {
  readonly request: Request;
  readonly expected: ExpectedTokens;
  readonly maxNumOutputTokens: number;
  /** As updates told it. */
  readonly output: number[];
  isStopped: boolean;
}

/**
 * Stands between a run and its scheduler, and checks after every call: contents of KV slots (ShadowRunner), hits
 * (StepFollower), order and budget (checkStep), updates, what is free, and the number of steps.
 */
export class RunObserver {
  readonly #scheduler: Scheduler;
  readonly #options: SchedulerOptions;
  readonly #events: RareEvents;
  readonly #runner: ShadowRunner;
  readonly #follower: StepFollower;
  /** In order of arrival. */
  readonly #all: Watched[] = [];
  /** Those that wait or run. */
  readonly #live = new Map<string, Watched>();

  constructor(scheduler: Scheduler, options: SchedulerOptions, events: RareEvents) {
    const { geometry, numBlocks, maxNumRunning } = options;
    const expectedOf = (requestId: string) => this.#watched(requestId).expected;
    this.#scheduler = scheduler;
    this.#options = options;
    this.#events = events;
    this.#runner = new ShadowRunner({ geometry, numBlocks, maxNumRunning, expectedOf });
    this.#follower = new StepFollower(options, events, ({ requestId }) => expectedOf(requestId));
  }

  get numInFlight(): number {
    return this.#runner.unprocessed.length;
  }

  get running(): readonly Request[] {
    return this.#queues.running;
  }

  /** A life of a request that has ended while steps in flight name it; null if there is none. */
  get endedLife(): Life | null {
    return this.#follower.leaving.find(({ requestId }) => !this.#live.has(requestId)) ?? null;
  }

  /** Constrained requests whose id has come back. */
  get held(): readonly Request[] {
    const requests = Array.from(this.#live.values(), ({ request }) => request);
    return requests.filter(({ isHeld, numOutputPlaceholders }) => isHeld && numOutputPlaceholders === 0);
  }

  release(request: Request): void {
    if (request.status === "preempted") this.#events.count("a request released while preempted");
    this.#scheduler.release(request.requestId);
    this.#check();
  }

  added(request: Request, expected: ExpectedTokens): void {
    const maxNumOutputTokens = Math.min(request.maxTokens, this.#options.maxModelLen - request.numPromptTokens);
    const watched = { request, expected, maxNumOutputTokens, output: [], isStopped: false };
    this.#all.push(watched);
    this.#live.set(request.requestId, watched);
    this.#check();
  }

  finish(request: Request, reason: RequestFinishReason): void {
    if (this.#live.get(request.requestId)?.request !== request) return;
    const life = this.#follower.lifeOf(request);
    const isInFlight = life !== null && life.inFlight.length > 0;
    const whenQueued = request.numPreemptions > 0 ? "an abort while preempted" : "an abort while waiting";
    const whenRunning = isInFlight ? "an abort with a step in flight" : "an abort between steps";
    this.#events.count(life ? whenRunning : whenQueued);
    this.#watched(request.requestId).isStopped = true;
    assert(this.#scheduler.finish(request.requestId, reason), "a live request is unknown");
    assert(!this.#scheduler.finish(request.requestId, reason), "a request ended twice");
    assert(request.finishReason === reason, "the reason got lost");
    this.#live.delete(request.requestId);
    if (life) this.#follower.end(life, "aborted");
    this.#check();
  }

  resetPrefixCache(): void {
    if (this.running.length > 0) this.#events.count("a reset while requests run");
    this.#scheduler.resetPrefixCache();
    this.#follower.resetPrefixCache();
    this.#check();
  }

  /** False where there is no step to schedule; if nothing is in flight either, nothing may wait or run. */
  schedule(): boolean {
    if (this.numInFlight === this.#options.maxInFlightSteps) {
      assert(this.#scheduler.schedule() === null, "more steps in flight than there may be");
      return false;
    }
    const before = this.#queues;
    const freeIds = new Set(this.#scheduler.freeBlockIds);
    const isRowLeaving = this.#follower.leaving.length > 0;
    const output = this.#scheduler.schedule();
    const mayPause = this.numInFlight > 0 || this.#live.size === 0 || this.held.length > 0;
    assert(output || mayPause, "nothing is in flight, but requests are left");
    const preempted = before.running.filter((request) => request.numPreemptions > before.numPreemptions.get(request)!);
    const step = { before, isRowLeaving, output, preempted, numFreeBlocks: this.#scheduler.numFreeBlocks };
    checkStep(this.#options, step);
    const dropped = preempted.filter(({ isConstrained, isHeld }) => isConstrained && !isHeld);
    this.#events.count("a constrained request is preempted and not held any more", dropped.length);
    const lives = preempted.map((request) => this.#follower.lifeOf(request)!);
    countPreemptions(this.#events, step, lives.filter(({ inFlight }) => inFlight.length > 0).length);
    countWaiting(this.#events, this.#options, step);
    for (const request of before.running) this.#follower.leaveWindow(request);
    for (const life of lives) this.#follower.end(life, "preempted");
    if (output) {
      this.#follower.follow(this.#runner.run(output), (requestId) => this.#watched(requestId).request, freeIds);
    }
    this.#check();
    return output !== null;
  }

  process(): void {
    const { output, result } = this.#runner.process();
    const updates = this.#scheduler.update(output, result);
    const told = updates.map(({ error, ...update }) => ({ ...update, code: error?.code ?? null }));
    const expected = this.#follower
      .process(output, result)
      .flatMap(({ life, sample }) => (sample ? [this.#expectUpdate(life, sample)] : []));
    assert(JSON.stringify(told) === JSON.stringify(expected), () => `updates: ${JSON.stringify({ told, expected })}`);
    this.#check();
  }

  /** Everything has ended: with the ids of alone, and with no block held. */
  checkEnd(): void {
    const { stats, numFreeBlocks, numUsableBlocks, numRunning, numWaiting } = this.#scheduler;
    assert(this.#live.size + numRunning + numWaiting === 0, "requests are left");
    assert(numFreeBlocks === numUsableBlocks, "blocks are lost");
    const numPreemptions = this.#all.reduce((sum, { request }) => sum + request.numPreemptions, 0);
    assert(stats.numPreemptions === numPreemptions, "preemptions are miscounted");
    for (const { request, expected, output, maxNumOutputTokens, isStopped } of this.#all) {
      const whole = expected.outputTokenIds(maxNumOutputTokens, request.eosTokenIds);
      const alone = isStopped ? whole.slice(0, output.length) : whole;
      assert(request.status === "finished" && request.row === null, () => `${request.requestId} has not ended`);
      for (const ids of [output, request.outputTokenIds]) {
        assert(`${ids}` === `${alone}`, () => `${request.requestId} generated ${ids}, alone ${alone}`);
      }
    }
  }

  get #queues(): Queues {
    const requests = Array.from(this.#live.values(), ({ request }) => request);
    return snapshotQueues(requests, this.#options.maxModelLen);
  }

  #watched(requestId: string): Watched {
    const watched = this.#live.get(requestId);
    assert(watched, () => `${requestId} is scheduled, but not here`);
    return watched;
  }

  /** What a sample means for a request; the request's life ends here where it does. */
  #expectUpdate(life: Life, { tokenId, finite }: SampledToken) {
    const { request, output, maxNumOutputTokens } = this.#watched(life.requestId);
    const { requestId } = request;
    const endsWithEos = finite && request.eosTokenIds.includes(tokenId);
    if (finite) output.push(tokenId);
    if (finite) this.#follower.publish(life, request.numPromptTokens + output.length);
    else this.#follower.evict(life);
    const isFull = output.length === maxNumOutputTokens;
    const finishReason = !finite ? "error" : endsWithEos ? "stop" : isFull ? "length" : null;
    if (finishReason) {
      this.#events.count(!finite ? "a sample that is not finite" : endsWithEos ? "an EOS" : "a full request");
      this.#live.delete(requestId);
      this.#follower.end(life, "finished");
    }
    const newTokenIds = finite ? [tokenId] : [];
    return { requestId, newTokenIds, newLogprobs: [], endsWithEos, finishReason, code: finite ? null : "numerical" };
  }

  #check(): void {
    const { stats, freeBlockIds, numUsableBlocks, numRunning, numWaiting } = this.#scheduler;
    this.#scheduler.checkIntegrity();
    this.#runner.checkNoneNamed(new Set(freeBlockIds));
    const numDue = numUsableBlocks - this.#follower.heldBlockIds.size;
    assert(freeBlockIds.length === numDue, () => `${freeBlockIds.length} blocks are free, ${numDue} should be`);
    const running = [...this.#live.values()].filter(({ request }) => request.status === "running");
    assert(numRunning === running.length, "the number of running requests is wrong");
    assert(numWaiting === this.#live.size - numRunning, "the number of waiting requests is wrong");
    const requests = this.#all.map(({ request }) => request);
    const maxSteps = maxNumSteps(requests, this.#options);
    assert(stats.numSteps <= maxSteps, () => `${stats.numSteps} steps, at most ${maxSteps} were due`);
  }
}
