import { CairnError } from "../../util/errors";
import { abortedError, raceAbort } from "../abort";

/** Runs calls one after another, in the order in which they were made. */
export class CallQueue {
  readonly #end = new AbortController();
  /** Resolves when all calls have ended. */
  #calls: Promise<unknown> = Promise.resolve();

  /**
   * Runs `call` when those before it have ended. Where one of the signals aborts while it waits, this rejects at once with
   * `aborted`, and it never runs. After the end, rejects with `disposed`.
   */
  async run<T>(
    signals: readonly (AbortSignal | null | undefined)[],
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#end.signal.aborted) throw new CairnError("disposed", "The session was destroyed.");
    const signal = AbortSignal.any([this.#end.signal, ...signals.filter((own) => own != null)]);
    const before = this.#calls;
    const result = before.then(() => {
      if (signal.aborted) throw abortedError(signal.reason);
      return call(signal);
    });
    this.#calls = result.catch(() => {});
    await raceAbort(before, signal);
    return result;
  }

  /** Aborts the calls, and takes no more. */
  end(): void {
    this.#end.abort();
  }
}
