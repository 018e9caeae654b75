import { CairnError, reasonOf } from "../util/errors";

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CairnError("aborted", "Loading the model was aborted.", {}, { cause: signal.reason });
}

/** What a failed fetch or a broken body stream means: the caller's abort, or a network failure that names the file. */
export function toReadError(thrown: unknown, file: string, signal: AbortSignal | undefined): CairnError {
  if (thrown instanceof CairnError) return thrown;
  if (signal?.aborted) return new CairnError("aborted", "Loading the model was aborted.", {}, { cause: thrown });
  const reason = reasonOf(thrown);
  return new CairnError("network", `"${file}" could not be read: ${reason}`, { file, reason }, { cause: thrown });
}
