import { CairnError } from "../../util/errors";
import type { SessionHost } from "./session-types";

/** Runs calls one after another, in the order in which they were made. */
export class CallQueue {
  readonly #host: Pick<SessionHost, "abortedError" | "raceAbort">;
  readonly #end = new AbortController();
  /** Resolves when all calls have ended. */
  #calls: Promise<unknown> = Promise.resolve();

  constructor(host: Pick<SessionHost, "abortedError" | "raceAbort">) {
    this.#host = host;
  }

  /**
   * Runs `call` when those before it have ended. Where one of the signals aborts while it waits, this rejects at once with
   * `aborted`, and it never runs. After the end, rejects with `disposed`.
   */
  async run<T>(
    signals: readonly (AbortSignal | null | undefined)[],
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#end.signal.aborted) throw new CairnError("disposed", "The session was destroyed.");
    const { abortedError, raceAbort } = this.#host;
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
