import type { KvKey } from "../kv/chunk";
import { assert } from "../util/errors";
import type { DeferralReason } from "./connector";

interface Deferral {
  readonly key: KvKey;
  readonly reason: DeferralReason;
}

interface Patience {
  readonly deadlineMs: number;
  /** Null while the request does not wait. */
  deferral: Deferral | null;
}

/**
 * Requests that got no answer yet, because what they would load is on its way: to the GPU for another request, or into the
 * tier. Each waits for one chunk, and is woken when that chunk's state changes. All waits of a request together end by
 * one deadline, set when it first waits; from then on what is not readable is a miss for it.
 */
export class Deferrals {
  readonly #now: () => number;
  readonly #patience = new Map<string, Patience>();
  readonly #waiting = new Map<KvKey, Set<string>>();
  #woken: string[] = [];
  #nextDeadlineMs = Number.POSITIVE_INFINITY;
  readonly numDeferrals: Record<DeferralReason, number> = { loading: 0, pending: 0, retry: 0 };
  numTimedOut = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get nextDeadlineMs(): number {
    return this.#nextDeadlineMs;
  }

  get numWaiting(): number {
    let numWaiting = 0;
    for (const requestIds of this.#waiting.values()) numWaiting += requestIds.size;
    return numWaiting;
  }

  isWaiting(requestId: string): boolean {
    return this.#patience.get(requestId)?.deferral != null;
  }

  /** Its deadline has passed: it waits no more. */
  isExhausted(requestId: string): boolean {
    const patience = this.#patience.get(requestId);
    return patience !== undefined && patience.deadlineMs <= this.#now();
  }

  /** Puts a request off until `key` changes; `maxWaitMs` counts when it is the request's first wait. Returns its deadline. */
  defer(requestId: string, key: KvKey, reason: DeferralReason, maxWaitMs: number): number {
    let patience = this.#patience.get(requestId);
    if (!patience) {
      patience = { deadlineMs: this.#now() + maxWaitMs, deferral: null };
      this.#patience.set(requestId, patience);
    }
    assert(patience.deferral === null, () => `request ${requestId} waits already`);
    patience.deferral = { key, reason };
    this.numDeferrals[reason] += 1;
    const waiting = this.#waiting.get(key);
    if (waiting) waiting.add(requestId);
    else this.#waiting.set(key, new Set([requestId]));
    this.#nextDeadlineMs = Math.min(this.#nextDeadlineMs, patience.deadlineMs);
    return patience.deadlineMs;
  }

  /** The chunk came, or will not come: who waits for it is asked again. */
  wake(key: KvKey): void {
    const waiting = this.#waiting.get(key);
    if (!waiting) return;
    this.#waiting.delete(key);
    for (const requestId of waiting) {
      this.#patience.get(requestId)!.deferral = null;
      this.#woken.push(requestId);
    }
  }

  wakeAll(): void {
    for (const key of [...this.#waiting.keys()]) this.wake(key);
  }

  /** Who was woken since the last call, those included whose deadline has passed. */
  takeWoken(): readonly string[] {
    if (this.#nextDeadlineMs <= this.#now()) this.#endOverdue();
    const woken = this.#woken;
    this.#woken = [];
    return woken;
  }

  /** The request is gone. */
  forget(requestId: string): void {
    const deferral = this.#patience.get(requestId)?.deferral;
    if (deferral) this.#stopWaiting(requestId, deferral.key);
    this.#patience.delete(requestId);
  }

  #endOverdue(): void {
    const nowMs = this.#now();
    this.#nextDeadlineMs = Number.POSITIVE_INFINITY;
    for (const [requestId, patience] of this.#patience) {
      if (!patience.deferral) continue;
      if (patience.deadlineMs > nowMs) {
        this.#nextDeadlineMs = Math.min(this.#nextDeadlineMs, patience.deadlineMs);
        continue;
      }
      this.#stopWaiting(requestId, patience.deferral.key);
      patience.deferral = null;
      this.numTimedOut += 1;
      this.#woken.push(requestId);
    }
  }

  #stopWaiting(requestId: string, key: KvKey): void {
    const waiting = this.#waiting.get(key);
    waiting?.delete(requestId);
    if (waiting?.size === 0) this.#waiting.delete(key);
  }

  /** Throws `internal` unless each request that waits is found under its key, and only there. */
  checkIntegrity(): void {
    let numWaiting = 0;
    for (const [requestId, { deferral }] of this.#patience) {
      if (!deferral) continue;
      numWaiting += 1;
      assert(this.#waiting.get(deferral.key)?.has(requestId), () => `request ${requestId} waits where nobody wakes it`);
    }
    assert(numWaiting === this.numWaiting, () => `${this.numWaiting} requests wait, ${numWaiting} know of it`);
  }
}
