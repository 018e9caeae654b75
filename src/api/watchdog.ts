/**
 * Time between two pings. Long, because a worker may be busy without harm: reading a tokenizer of 256,000 tokens takes a
 * slow phone some seconds.
 */
const PERIOD_MS = 15_000;

/** Notices a worker that no longer comes to answer, such as one that a regular expression of a model's tokenizer holds up. */
export class Watchdog {
  readonly #ping: () => Promise<unknown>;
  readonly #onSilence: (seconds: number) => void;
  readonly #periodMs: number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isAnswered = true;
  #hasMissed = false;

  /** `ping` asks the worker for any answer; `onSilence` is called once, when two periods went by without one. */
  constructor(ping: () => Promise<unknown>, onSilence: (seconds: number) => void, periodMs = PERIOD_MS) {
    this.#ping = ping;
    this.#onSilence = onSilence;
    this.#periodMs = periodMs;
  }

  /** Watches from now on, with no effect while it does. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#send();
    this.#timer = setInterval(() => this.#look(), this.#periodMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /**
   * A tab that was frozen comes here late, and before the answers that wait for it, and its worker was frozen too: so the
   * first miss gives a whole period more.
   */
  #look(): void {
    if (this.#isAnswered) this.#send();
    else if (!this.#hasMissed) this.#hasMissed = true;
    else {
      this.stop();
      this.#onSilence((2 * this.#periodMs) / 1000);
    }
  }

  #send(): void {
    this.#hasMissed = false;
    this.#isAnswered = false;
    const onAnswer = () => {
      this.#isAnswered = true;
    };
    // An error is an answer too.
    this.#ping().then(onAnswer, onAnswer);
  }
}
