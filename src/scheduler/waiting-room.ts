import type { Request } from "./request";
import { RequestQueue } from "./request-queue";

/** Requests that wait: in the queue, or put off until a connector wakes them. These hold nothing, stop nobody, and keep their place. */
export class WaitingRoom {
  readonly #queue = new RequestQueue();
  readonly #deferred = new Map<string, Request>();

  get length(): number {
    return this.#queue.length + this.#deferred.size;
  }

  get numDeferred(): number {
    return this.#deferred.size;
  }

  /** Of those that are not put off. */
  get first(): Request | undefined {
    return this.#queue.first;
  }

  add(request: Request): void {
    this.#queue.add(request);
  }

  /** It must be here. */
  remove(request: Request): void {
    if (!this.#deferred.delete(request.requestId)) this.#queue.remove(request);
  }

  /** Puts a request of the queue off. */
  defer(request: Request): void {
    this.#queue.remove(request);
    this.#deferred.set(request.requestId, request);
  }

  /** Those of these requests that were put off go back to their place in the queue; returns how many. */
  wake(requestIds: readonly string[]): number {
    let numWoken = 0;
    for (const requestId of requestIds) {
      const request = this.#deferred.get(requestId);
      if (!request) continue;
      this.#deferred.delete(requestId);
      this.#queue.add(request);
      numWoken += 1;
    }
    return numWoken;
  }

  *[Symbol.iterator](): Iterator<Request> {
    yield* this.#queue;
    yield* this.#deferred.values();
  }
}
