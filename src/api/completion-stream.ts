import { CairnError } from "../util/errors";

/**
 * A streamed answer: `for await (const chunk of stream)`, once. Leaving the loop early aborts the generation.
 * After `abort()` the loop throws a CairnError with code `aborted`.
 */
export class CompletionStream<T> implements AsyncIterable<T> {
  /** As in OpenAI's client: aborting it aborts the generation. */
  readonly controller: AbortController;
  readonly #chunks: AsyncGenerator<T, void, undefined>;
  #isTaken = false;

  constructor(chunks: AsyncGenerator<T, void, undefined>, controller: AbortController) {
    this.#chunks = chunks;
    this.controller = controller;
  }

  /** Stops the generation; no effect after its end. */
  abort(reason?: unknown): void {
    this.controller.abort(reason);
  }

  [Symbol.asyncIterator](): AsyncIterator<T, void, undefined> {
    if (this.#isTaken) {
      throw new CairnError("invalid_request", "A stream can be read only once.", { param: "stream" });
    }
    this.#isTaken = true;
    return this.#chunks;
  }
}
