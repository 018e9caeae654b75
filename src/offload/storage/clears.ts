import { assert } from "../../util/errors";
import type { StorageOpId } from "./storage-op";

/** Clears of storage that were asked for: until the last of them has ended nothing is found there, and nothing goes there. */
export class Clears {
  readonly #inFlight = new Set<StorageOpId>();
  /** Not submitted yet. */
  isWanted = false;
  /** The last that ended did so in vain: records are still there, though nobody finds them. */
  hasFailed = false;

  get areUnderWay(): boolean {
    return this.isWanted || this.#inFlight.size > 0;
  }

  want(): void {
    this.isWanted = true;
    this.hasFailed = false;
  }

  submitted(opId: StorageOpId): void {
    this.isWanted = false;
    this.#inFlight.add(opId);
  }

  complete(opId: StorageOpId, success: boolean): void {
    assert(this.#inFlight.delete(opId), () => `clear ${opId} has a result, but is not under way`);
    this.hasFailed = !success;
  }
}
