import { NEUTRAL_SAMPLING } from "../sampling/sampling-params";
import { assert, CairnError } from "../util/errors";
import { type ExpectedTokens, PrefixTrie } from "./expected-tokens.property.fixture";
import {
  EOS,
  expectedTokensOf,
  maxTokensOf,
  type RandomRequest,
  type RandomRun,
  schedulerOptionsOf,
} from "./random-run.property.fixture";
import type { RareEvents } from "./rare-events.property.fixture";
import { Request } from "./request";
import { RunObserver } from "./run-observer.property.fixture";
import { Scheduler } from "./scheduler";
import type { SchedulerOptions } from "./scheduler-options";
import { overtakesOneOf } from "./step-bound.property.fixture";

/** A request that would take over an id comes with its own when it has waited this long for the chance. */
const MAX_TURNS_FOR_ID = 12;
const AHEAD_OF_ALL = -2;

/** Plays a run to its end: arrivals and stops by the turn, steps scheduled and processed in the run's rhythm. */
export class RunPlayer {
  readonly #run: RandomRun;
  readonly #options: SchedulerOptions;
  readonly #events: RareEvents;
  readonly #scheduler: Scheduler;
  readonly #observer: RunObserver;
  readonly #trie = new PrefixTrie();
  /** In the order in which the requests came, the refused ones too. */
  readonly #arrived: ExpectedTokens[] = [];
  readonly #pending: Set<number>;
  readonly #numTurnsHeld = new Map<Request, number>();
  /** Of those that wait for it. */
  readonly #releaseTurns = new Map<Request, number>();
  /** By turn: who is stopped before it. */
  readonly #stops: { readonly turn: number; readonly request: Request; readonly reason: "abort" | "stop" }[] = [];

  constructor(run: RandomRun, events: RareEvents) {
    this.#run = run;
    this.#events = events;
    this.#options = schedulerOptionsOf(run);
    this.#scheduler = new Scheduler(this.#options);
    this.#observer = new RunObserver(this.#scheduler, this.#options, events);
    this.#pending = new Set(run.requests.keys());
  }

  play(): void {
    const { rhythm, resetTurns } = this.#run;
    for (let turn = 0; this.#pending.size > 0 || this.#scheduler.hasUnfinished; turn++) {
      for (const stop of this.#stops) if (stop.turn === turn) this.#observer.finish(stop.request, stop.reason);
      this.#releaseDue(turn);
      for (const index of this.#pending) this.#arrive(index, turn);
      if (resetTurns.includes(turn)) this.#observer.resetPrefixCache();
      if (rhythm[turn % rhythm.length] && this.#observer.numInFlight > 0) this.#observer.process();
      else if (!this.#observer.schedule() && this.#observer.numInFlight > 0) this.#observer.process();
    }
    this.#observer.checkEnd();
  }

  #arrive(index: number, turn: number): void {
    const spec = this.#run.requests[index];
    if (turn < spec.arrivalTurn) return;
    const ended = spec.reusesId ? this.#observer.endedLife : null;
    if (spec.reusesId && !ended && turn < spec.arrivalTurn + MAX_TURNS_FOR_ID) return;
    this.#pending.delete(index);
    const parent = spec.parent === null ? null : (ended?.expected ?? this.#arrived[spec.parent % this.#arrived.length]);
    const expected = expectedTokensOf(this.#run, index, this.#trie, parent ?? null);
    this.#arrived.push(expected);
    const request = ended
      ? this.#makeRequest(spec, expected, ended.requestId, AHEAD_OF_ALL)
      : this.#makeRequest(spec, expected, String(index), spec.priority);
    if (!this.#tryAdd(request)) return;
    if (ended) this.#events.count("an id used again while its last request is in flight");
    if (overtakesOneOf(request, this.#observer.running)) this.#events.count("one ahead of those that run arrives");
    this.#observer.added(request, expected);
    if (spec.stop) this.#stops.push({ turn: turn + spec.stop.numTurns, request, reason: spec.stop.reason });
  }

  /** The observer says who is held and has no id in flight. */
  #releaseDue(turn: number): void {
    for (const request of this.#observer.held) {
      if (!this.#releaseTurns.has(request)) this.#releaseTurns.set(request, turn + this.#numTurnsHeld.get(request)!);
      if (turn < this.#releaseTurns.get(request)!) continue;
      this.#releaseTurns.delete(request);
      this.#observer.release(request);
    }
  }

  #makeRequest(spec: RandomRequest, expected: ExpectedTokens, requestId: string, priority: number): Request {
    const { promptTokenIds } = expected;
    const { usePrefixCache, cacheSalt, numTurnsHeld } = spec;
    const request = new Request({
      requestId,
      promptTokenIds,
      eosTokenIds: [EOS],
      sampling: { ...NEUTRAL_SAMPLING, isConstrained: numTurnsHeld !== null },
      maxTokens: maxTokensOf(this.#run, spec),
      priority,
      usePrefixCache,
      cacheSalt,
    });
    if (numTurnsHeld !== null) this.#numTurnsHeld.set(request, numTurnsHeld);
    return request;
  }

  #tryAdd(request: Request): boolean {
    try {
      this.#scheduler.addRequest(request);
      return true;
    } catch (error) {
      const code = error instanceof CairnError ? error.code : null;
      assert(code === "context_length_exceeded" || code === "cache_too_small", () => `refused for ${error}`);
      this.#events.count("a request refused at the door");
      return false;
    }
  }
}
