import { CairnError } from "../util/errors";
import { raceSignal } from "../util/race-signal";

/** The error of an aborted call; `cause` is the signal's reason. */
export function abortedError(reason: unknown): CairnError {
  return new CairnError("aborted", "The call was aborted.", {}, { cause: reason });
}

/** Rejects with `aborted` when the signal does so before the promise settles; the promise itself goes on. */
export async function raceAbort<T>(promise: Promise<T>, signal: AbortSignal | null): Promise<T> {
  return signal ? raceSignal(promise, signal, abortedError) : promise;
}
