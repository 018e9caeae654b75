/** Calls back at one time, which may be put off or brought forward. */
export class DeadlineTimer {
  readonly #now: () => number;
  readonly #onDeadline: () => void;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(now: () => number, onDeadline: () => void) {
    this.#now = now;
    this.#onDeadline = onDeadline;
  }

  /** On the clock of `now`; with Infinity it is off. */
  set(deadlineMs: number): void {
    if (deadlineMs === this.#deadlineMs) return;
    this.#deadlineMs = deadlineMs;
    clearTimeout(this.#timer);
    if (deadlineMs === Number.POSITIVE_INFINITY) return;
    const call = () => {
      this.#deadlineMs = Number.POSITIVE_INFINITY;
      this.#onDeadline();
    };
    this.#timer = setTimeout(call, Math.max(0, deadlineMs - this.#now()));
  }
}
