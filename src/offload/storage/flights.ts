/** A call that has not answered yet. */
interface Flight {
  /** Tells whoever waits that no answer comes. */
  readonly giveUp: () => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Calls under way, each with a deadline. An answer that comes after its call was given up is not heard. */
export class Flights {
  readonly #onLate: (message: string) => void;
  readonly #onRejected: (message: string) => void;
  readonly #flights = new Set<Flight>();

  /** Who is told of a call that does not answer in time, or rejects, gives all up: the other end is not to be relied on. */
  constructor(onLate: (message: string) => void, onRejected: (message: string) => void) {
    this.#onLate = onLate;
    this.#onRejected = onRejected;
  }

  /** `onEnd` hears the answer, or null once the call was given up; exactly one of the two, once. */
  start<T>(call: Promise<T>, name: string, deadlineMs: number, onEnd: (answer: T | null) => void): void {
    const late = () => this.#onLate(`${name} did not answer within ${deadlineMs / 1000} s.`);
    const flight: Flight = { giveUp: () => onEnd(null), timer: setTimeout(late, deadlineMs) };
    this.#flights.add(flight);
    call.then(
      (answer) => {
        if (this.#end(flight)) onEnd(answer);
      },
      (error) => {
        if (this.#flights.has(flight)) this.#onRejected(`${name} failed: ${error}`);
      },
    );
  }

  /** In the order in which they began. */
  giveUpAll(): void {
    const flights = [...this.#flights];
    for (const flight of flights) this.#end(flight);
    for (const { giveUp } of flights) giveUp();
  }

  #end(flight: Flight): boolean {
    clearTimeout(flight.timer);
    return this.#flights.delete(flight);
  }
}
