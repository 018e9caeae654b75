import type { GenerateCommand, GenerateEvent } from "../protocol/messages";
import { assert, CairnError } from "../util/errors";
import { abortedError } from "./abort";
import { AsyncQueue } from "./async-queue";

type Of<Kind extends GenerateEvent["kind"]> = Extract<GenerateEvent, { kind: Kind }>;

/** What a generation that is not failing sends first, */
export type StartedEvent = Of<"started">;
/** and then, up to `done`. */
export type DeltaOrDone = Of<"delta" | "done">;

/** One request as the page sees it: its port to the worker, its events, its abort. */
export class Generation {
  /** Aborting it ends this generation; after the end it has no effect. */
  readonly controller = new AbortController();
  readonly #port: MessagePort;
  readonly #signal: AbortSignal | null;
  readonly #onEnd: (generation: Generation) => void;
  readonly #events = new AsyncQueue<StartedEvent | DeltaOrDone>();
  #ended = false;

  /** `signal` is the caller's and not aborted yet. `onEnd` is called once, when no more events will come. */
  constructor(port: MessagePort, signal: AbortSignal | null, onEnd: (generation: Generation) => void) {
    this.#port = port;
    this.#signal = signal;
    this.#onEnd = onEnd;
    port.onmessage = ({ data }: MessageEvent<GenerateEvent>) => this.#receive(data);
    signal?.addEventListener("abort", this.#forwardAbort, { once: true });
    this.controller.signal.addEventListener("abort", this.#abort, { once: true });
  }

  /** Resolves when the engine accepted the request; rejects with the CairnError that ended the generation. */
  async started(): Promise<StartedEvent> {
    const event = await this.#events.next();
    assert(event.kind === "started", () => `a generation began with the event ${event.kind}`);
    return event;
  }

  /** The next event after `started`; rejects with the CairnError that ended the generation. Not to be called after `done`. */
  async next(): Promise<DeltaOrDone> {
    const event = await this.#events.next();
    assert(event.kind !== "started", "a generation began twice");
    return event;
  }

  /** Ends the generation from outside (the engine was disposed, the worker died); no effect after the end. */
  fail(error: CairnError): void {
    if (this.#ended) return;
    this.#end();
    this.#events.clear();
    this.#events.fail(error);
    this.#port.close();
  }

  #receive(event: GenerateEvent): void {
    const isLast = event.kind === "done" || event.kind === "error";
    if (isLast) this.#port.close();
    if (this.#ended) return;
    if (isLast) this.#end();
    if (event.kind === "error") this.#events.fail(CairnError.fromWire(event.error));
    else this.#events.push(event);
  }

  readonly #forwardAbort = (): void => this.controller.abort(this.#signal?.reason);

  /** The port stays open until the worker's last event, so that the command arrives. */
  readonly #abort = (): void => {
    if (this.#ended) return;
    this.#end();
    this.#events.clear();
    this.#events.fail(abortedError(this.controller.signal.reason));
    this.#port.postMessage({ kind: "abort" } satisfies GenerateCommand);
  };

  #end(): void {
    this.#ended = true;
    this.#signal?.removeEventListener("abort", this.#forwardAbort);
    this.#onEnd(this);
  }
}
