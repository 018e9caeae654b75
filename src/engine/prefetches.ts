import type { Request } from "../scheduler/request";
import type { Scheduler } from "../scheduler/scheduler";
import type { Prefetch } from "./engine-records";
import { tokensByTier } from "./usage";

/** Those who wait for the end of a prefetch. */
export class Prefetches {
  readonly #scheduler: Scheduler;
  readonly #waiting = new Map<string, Prefetch>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  start(request: Request, prefetch: Prefetch): void {
    try {
      this.#scheduler.addRequest(request);
      this.#waiting.set(request.requestId, prefetch);
    } catch (error) {
      prefetch.reject(error);
    }
  }

  /** Tells those whose prefetch has ended what it found. */
  settle(): void {
    for (const request of this.#scheduler.takePrefetched()) {
      const { requestId, numPromptTokens } = request;
      this.#waiting.get(requestId)?.resolve({ promptTokens: numPromptTokens, tokens: tokensByTier(request) });
      this.#waiting.delete(requestId);
    }
  }

  fail(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
