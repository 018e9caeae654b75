import { CairnError } from "../util/errors";

/** The error of an aborted call; `cause` is the signal's reason. */
export function abortedError(reason: unknown): CairnError {
  return new CairnError("aborted", "The call was aborted.", {}, { cause: reason });
}

/** Rejects with `aborted` when the signal does so before the promise settles; the promise itself goes on. */
export async function raceAbort<T>(promise: Promise<T>, signal: AbortSignal | null): Promise<T> {
  if (!signal) return promise;
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(abortedError(signal.reason));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
