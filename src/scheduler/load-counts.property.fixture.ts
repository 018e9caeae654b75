import type { LoadJob } from "../offload/transfer-job";
import { assert } from "../util/errors";
import type { Request } from "./request";

/** How often each block of a chunk was loaded for each request. */
export class LoadCounts {
  readonly #counts = new Map<string, Map<string, number>>();

  count(requestId: string, { blocks }: LoadJob, keyOfSlot: (slotId: number) => string): void {
    const counts = this.#counts.get(requestId) ?? new Map<string, number>();
    this.#counts.set(requestId, counts);
    for (const { slotId, blockInChunk } of blocks) {
      const place = `${keyOfSlot(slotId)}[${blockInChunk}]`;
      counts.set(place, (counts.get(place) ?? 0) + 1);
    }
  }

  /** At most once a life, and once more for each revocation, and for each device that was lost. */
  check(requests: readonly Request[], numLosses: number): void {
    for (const { requestId, numPreemptions, numRevocations } of requests) {
      const most = Math.max(0, ...(this.#counts.get(requestId)?.values() ?? []));
      const maxTimes = 1 + numPreemptions + numRevocations + numLosses;
      assert(most <= maxTimes, () => `a block was loaded ${most} times for ${requestId}, at most ${maxTimes} were due`);
    }
  }
}
