import { assert } from "../util/errors";
import type { Request } from "./request";

/** Requests in the order of (priority, arrival): who is first is served first, who is last is preempted first. */
export class RequestQueue {
  readonly #requests: Request[] = [];

  get length(): number {
    return this.#requests.length;
  }

  get first(): Request | undefined {
    return this.#requests[0];
  }

  get last(): Request | undefined {
    return this.#requests.at(-1);
  }

  at(index: number): Request {
    return this.#requests[index];
  }

  /** Puts a request at its place, wherever it was before: a preempted one stands before all that came after it. */
  add(request: Request): void {
    this.#requests.splice(this.#indexOf(request), 0, request);
  }

  /** Takes a request out. It must be in the queue. */
  remove(request: Request): void {
    const index = this.#indexOf(request);
    assert(this.#requests[index] === request, () => `request ${request.requestId} is not in this queue`);
    this.#requests.splice(index, 1);
  }

  /** Takes a request out, if it is in the queue. */
  discard(request: Request): void {
    const index = this.#indexOf(request);
    if (this.#requests[index] === request) this.#requests.splice(index, 1);
  }

  [Symbol.iterator](): Iterator<Request> {
    return this.#requests.values();
  }

  /** Where the request is or belongs. */
  #indexOf(request: Request): number {
    let low = 0;
    let high = this.#requests.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (goesBefore(this.#requests[middle], request)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function goesBefore(a: Request, b: Request): boolean {
  return a.priority === b.priority ? a.arrivalIndex < b.arrivalIndex : a.priority < b.priority;
}
