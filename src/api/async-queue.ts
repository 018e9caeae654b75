/** Items that one side pushes and the other awaits, in order. Only one `next()` may be outstanding at a time. */
export class AsyncQueue<T> {
  #items: T[] = [];
  #failure: { readonly error: unknown } | null = null;
  #wake: (() => void) | null = null;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** Items pushed before are still handed out; then every `next()` rejects with `error`. The first failure stays. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  /** Drops what nobody took yet. */
  clear(): void {
    this.#items = [];
  }

  async next(): Promise<T> {
    while (this.#items.length === 0) {
      if (this.#failure) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    return this.#items.shift() as T;
  }
}
